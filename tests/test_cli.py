import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from conftest import HANGS, TINY, make_run, make_transfer, random_masks
from typer.testing import CliRunner

from smp_lab import __version__, cli
from smp_lab.analysis.sampling import wilson_interval
from smp_lab.errors import ConfigError, RunFormatError
from smp_lab.paths import PREDICTIONS_FILE, RECORD_FILE, app_file, project_folder
from smp_lab.storage.formats import Opened, named_base
from smp_lab.storage.imported import save_imported
from smp_lab.storage.release import release_masks
from smp_lab.tasks.own import own_task


@pytest.fixture
def own(runs, monkeypatch, tmp_path):
    """Own runs in `runs`, no cached ones."""
    monkeypatch.setenv("SMP_LAB_RUNS", str(runs))
    for module in (cli.runs, cli.options):
        monkeypatch.setattr(module, "cached_runs_folder", lambda: tmp_path / "cached_runs")
    return runs


def invoke(*arguments):
    return CliRunner().invoke(cli.commands, [str(argument) for argument in arguments], catch_exceptions=False)


def run_main(monkeypatch, *arguments):
    """Exit status of the whole command, as a shell sees it."""
    monkeypatch.setattr(sys, "argv", ["smp-lab", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code


def test_version():
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"smp-lab {__version__}\n")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], ["app", "runs", "check", "--version"]),
        (["app"], ["--port N", "8501", "--runs DIR", "SMP_LAB_RUNS", "smp-lab app --port 8600"]),
        (
            ["runs"],
            ["--folder DIR", "--task NAME", "sst2", "--method NAME", "smp_s", "smp-lab runs --task rte", "percent"],
        ),
        (["check"], ["DIR", "exit status", "smp-lab check cached_runs"]),
        (["export"], ["RUN", "TARGET", "--form NAME", "masked", "onnx", "--cut K", "masks.npy"]),
        (["import"], ["PATH", "--base NAME", "--scores RULE=NUMBER", "--json", "topK=0.1"]),
        (["report"], ["{RUN}... {TARGET}", "tenth.html"]),
        (["transfer"], ["RUN", "--task NAME", "--glue-dir DIR", "--runs DIR", "nothing trained"]),
    ],
)
def test_help_is_enough(command, words):
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    for word in words:
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_no_command_shows_the_commands():
    assert "Commands:" in invoke().output


# --- runs


def test_runs_are_listed_in_aligned_columns(own):
    first = make_run(own, accuracy=0.5)
    second = make_run(own, task="cola", method="smp_l", remaining=0.03, accuracy=0.25)
    result = invoke("runs")
    assert (result.exit_code, result.stderr) == (0, "")
    header, *rows = result.stdout.splitlines()
    kept = f"{100 * second.remaining:.2f}"
    assert [row.split() for row in rows] == [
        [second.run_id, *f"cola tiny-test-encoder smp_l 3 {kept} matthews_correlation 0.2500 40 {own}".split()],
        [first.run_id, *f"rte tiny-test-encoder smp_s 50 50.00 accuracy 0.5000 40 {own}".split()],
    ]
    for title in ("task", "encoder", "method", "metric", "folder"):
        assert [row[header.index(title) - 1] for row in rows] == [" ", " "]
    assert {row.index(str(own)) for row in rows} == {header.index("folder")}


def test_runs_are_filtered(own):
    rte = make_run(own)
    cola = make_run(own, task="cola")
    local = make_run(own, method="smp_l")

    def listed(*options):
        return {line.split()[0] for line in invoke("runs", *options).stdout.splitlines()[1:]}

    assert listed() == {rte.run_id, cola.run_id, local.run_id}
    assert listed("--task", "cola") == {cola.run_id}
    assert listed("--method", "smp_s") == {rte.run_id, cola.run_id}
    assert listed("--task", "rte", "--method", "smp_l") == {local.run_id}


def test_runs_of_a_task_of_ones_own_are_filtered(runs):
    words = {"classes": ["a", "b"], "label_words": ["no", "yes"], "metrics": ["accuracy"]}
    task = own_task(name="mine", title="mine", text_fields=["text"], **words)
    run = make_run(runs, task=task.name, task_definition=task.definition, label_words=("no", "yes"))
    make_run(runs)
    # A process that has not met the task.
    out, err = smp_lab("runs", "--folder", runs, "--task", task.name).communicate(timeout=HANGS)
    assert (err, [line.split()[0] for line in out.decode().splitlines()[1:]]) == (b"", [run.run_id])


def test_runs_of_one_folder_alone(own, tmp_path):
    make_run(own)
    other = make_run(tmp_path / "other", seed=1)
    assert [line.split()[0] for line in invoke("runs", "--folder", tmp_path / "other").stdout.splitlines()[1:]] == [
        other.run_id
    ]


def test_no_runs_is_a_sentence_and_no_failure(own, tmp_path):
    result = invoke("runs", "--task", "mnli")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"No such runs in {own} or {tmp_path / 'cached_runs'}.\n"


def test_report_of_some_runs_is_one_file(own, tmp_path, monkeypatch, capsys):
    ids = [make_run(own, seed=seed, mask_seed=seed).run_id for seed in (0, 1)]
    target = tmp_path / "two.html"
    result = invoke("report", own / ids[0], ids[1], ids[0], target)
    assert result.stdout.startswith(f"2 runs in {target}, ")
    assert target.read_text().count("<details>") == 2
    assert run_main(monkeypatch, "report", ids[0], target) == 1
    assert "not there yet" in capsys.readouterr().err


def test_a_report_names_what_cannot_be_read_and_shows_the_rest(own, tmp_path, monkeypatch, capsys):
    whole, cut, torn = (make_run(own, seed=seed, mask_seed=seed) for seed in (0, 1, 2))
    (cut.path / PREDICTIONS_FILE).write_bytes(b"PK")
    (torn.path / RECORD_FILE).write_text("{")
    target = tmp_path / "rest.html"
    result = invoke("report", torn.path, whole.path, cut.run_id, target)
    assert (result.exit_code, result.stdout.split(" in ")[0]) == (0, "1 run")
    page = target.read_text()
    assert page.count("<details>") == 1
    assert "<h2>Left out</h2>" in page
    for run in (cut, torn):
        assert run.run_id in result.stderr
        assert run.run_id in page
    assert run_main(monkeypatch, "report", torn.path, tmp_path / "none.html") == 1
    assert torn.run_id in capsys.readouterr().err


def test_summary_averages_seeds_and_nothing_else(own):
    make_run(own, accuracy=0.5)
    make_run(own, accuracy=0.7, seed=1)
    make_run(own, accuracy=0.9, epochs=60)
    low, high = wilson_interval(20, 40)
    error = 100 * (high - low) / 2
    first, _, usual, longer = invoke("summary", own).stdout.splitlines()
    assert first == "| method | remaining % | RTE Accuracy, n 40 | mean over tasks |"
    assert usual.startswith("| SMP-S | 50 | 60.0 ± ") and usual.endswith(" (50.0 to 70.0, 2 seeds) | 60.0 over 1 |")
    assert longer.startswith("| SMP-S · epochs 60 | 50 | 90.0 ± ")
    assert 0 < float(usual.split("± ")[1].split()[0]) <= round(error, 1)


def test_broken_runs_are_named_beside_the_good_ones(own):
    good, broken = make_run(own), make_run(own, seed=1)
    (broken.path / RECORD_FILE).write_text("{")
    result = invoke("runs")
    assert result.exit_code == 0
    assert good.run_id in result.stdout
    assert broken.run_id not in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"smp-lab: {broken.path / RECORD_FILE} is cut off or is not JSON (")


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (["runs", "--task", "ret"], ConfigError, "Unknown task 'ret'. Choose one of: sst2, "),
        (["runs", "--method", "smp"], ConfigError, "Unknown method 'smp'. Choose one of: smp_l, "),
        (["runs", "--folder", "nowhere"], RunFormatError, "Folder nowhere does not exist"),
        (["runs", "--folder", __file__], RunFormatError, f"{__file__} is no folder. Name a folder of runs"),
        (["jobs", "--runs", "nowhere"], RunFormatError, "Folder nowhere does not exist"),
        (["summary", ".", "--latex", "--json"], ConfigError, "Name one of --latex and --json"),
        (["check", "nowhere"], RunFormatError, "Folder nowhere does not exist"),
        (["transfer", "nowhere"], RunFormatError, "There is no run 'nowhere' in "),
        (["transfer", "nowhere", "--task", "ret"], ConfigError, "Unknown task 'ret'. Choose one of: sst2, "),
        (["app", "--runs", "nowhere"], RunFormatError, "Folder nowhere does not exist"),
        (["evaluate", "nowhere", "--heads", "--cut", "3"], ConfigError, "--heads empties heads of the whole mask"),
        (
            ["app", "--cluster", "--on 'ray"],
            ConfigError,
            "--cluster takes options of smp-lab train, such as '--on ray://",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_status_1(monkeypatch, capsys, arguments, error, sentence):
    with pytest.raises(error):
        invoke(*arguments)
    assert run_main(monkeypatch, *arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"smp-lab: {sentence}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["walk"],
        ["runs", "--speed", "1"],
        ["check"],
        ["app", "--port", "0"],
        ["jobs", "follow", "9" * 20],
        ["import", "mask.npy", "--examples", "9" * 20],
        ["evaluate", "mask", "--cut", "9" * 20],
        ["export", "run", "folder", "--cut", "9" * 20],
        ["measure", "run", "--cut", "9" * 20],
        ["measure", "run", "--threads", "9" * 10],
        ["sweep", "--on", "ray", "--memory", "inf"],
    ],
)
def test_a_misused_command_says_how_it_is_used(monkeypatch, capsys, arguments):
    assert run_main(monkeypatch, *arguments) == 2
    assert "Usage: " in capsys.readouterr().err


def test_ctrl_c_is_status_130(monkeypatch):
    def interrupt(folders):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.runs, "list_runs", interrupt)
    assert run_main(monkeypatch, "runs") == 130


def test_ctrl_c_while_packages_are_imported_is_no_traceback_either():
    interrupted = (
        "import os, signal, sys\nfrom smp_lab.__main__ import main\n\nclass Finder:\n    def find_spec(name, *_):\n"
        "        if name == 'smp_lab.cli':\n            os.kill(os.getpid(), signal.SIGINT)\n\n"
        # Whoever runs the tests in the background has it ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\nsys.meta_path.insert(0, Finder)\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, check=False, timeout=HANGS)
    # By the signal itself, which a shell tells as 130.
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_a_defect_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(cli.runs, "list_runs", lambda folders: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["smp-lab", "runs"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_runs_as_json_are_rows_of_the_table_with_what_cannot_be_read(own):
    whole = make_run(own, accuracy=0.65, remaining=0.5)
    measured = make_run(own, method="smp_t", remaining=None)
    (own / "not-a-run").mkdir()
    told = json.loads(invoke("runs", "--json").stdout)
    rows = {row["run_id"]: row for row in told["runs"]}
    assert rows[whole.run_id]["level"] == rows[whole.run_id]["remaining"] == 0.5
    assert rows[whole.run_id]["value"] == 0.65
    assert rows[whole.run_id]["folder"] == str(own)
    assert rows[measured.run_id]["level"] is None
    assert [problem["folder"] for problem in told["problems"]] == [str(own / "not-a-run")]
    assert json.loads(invoke("runs", "--json", "--task", "cola").stdout)["runs"] == []


def test_a_summary_as_json_has_fractions(own):
    make_run(own, accuracy=0.6, seed=0)
    make_run(own, accuracy=0.7, seed=1)
    (row,) = json.loads(invoke("summary", own, "--json").stdout)
    assert (row["lowest"], row["highest"], row["n_seeds"]) == (0.6, 0.7, 2)
    assert row["mean"] == pytest.approx(0.65)


def test_a_summary_leaves_out_a_run_whose_predictions_cannot_be_read(own):
    make_run(own, accuracy=0.6)
    broken = make_run(own, task="cola")
    (broken.path / PREDICTIONS_FILE).write_bytes(b"PK")
    result = invoke("summary", own)
    assert result.exit_code == 0 and "RTE" in result.stdout and "CoLA" not in result.stdout
    assert "predictions.npz is cut off or was altered" in result.stderr and "The run is left out." in result.stderr
    with pytest.raises(ConfigError, match="Name one of --means, --claims and --cuts"):
        invoke("summary", own, "--means", "--claims")


@pytest.mark.parametrize("option", ["--json", "--claims"])
def test_a_summary_of_runs_of_which_none_can_be_read_is_refused(own, option):
    broken = make_run(own)
    (broken.path / PREDICTIONS_FILE).write_bytes(b"PK")
    with pytest.raises(RunFormatError, match="holds no runs that can be read"):
        invoke("summary", own, option)


@pytest.mark.parametrize(
    ("option", "words"), [("--means", "mean over the tasks of"), ("--claims", "differences in points")]
)
def test_each_table_in_latex_has_a_caption_of_its_own(own, option, words):
    make_run(own)
    text = invoke("summary", own, option, "--latex").stdout
    assert words in text and "1 run. Encoder" in text and "interval" not in text


def test_a_check_as_json_names_what_is_broken(own):
    whole, broken = make_run(own), make_run(own, task="cola")
    transfer = make_transfer(own, whole, "cola")
    (broken.path / RECORD_FILE).write_text("{")
    result = invoke("check", own, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert {fact["name"]: fact["problem"] is None for fact in told["runs"]} == {
        whole.run_id: True,
        broken.run_id: False,
    }
    assert [(fact["name"], fact["problem"]) for fact in told["transfers"]] == [(transfer.path.name, None)]
    assert told["transfers"][0]["bytes"] == transfer.path.stat().st_size


# --- check


def test_sound_runs_are_checked(runs):
    saved = [make_run(runs, seed=seed) for seed in (0, 1)]
    result = invoke("check", runs)
    assert result.exit_code == 0
    *lines, total = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", run.run_id] for run in sorted(saved, key=lambda r: r.run_id)]
    size = sum(file.stat().st_size for run in saved for file in run.path.iterdir())
    assert total == f"runs: 2, broken: 0, size: {size / 1e6:.2f} MB"


def test_every_file_is_checked(runs):
    good, broken = make_run(runs), make_run(runs, seed=1)
    file = broken.path / "masks.npz"
    file.write_bytes(file.read_bytes()[:-1])
    result = invoke("check", runs)
    assert result.exit_code == 1
    assert f"ok      {good.run_id}" in result.stdout
    assert f"BROKEN  Run {broken.run_id}: masks.npz is cut off or was altered" in result.stdout
    assert "runs: 2, broken: 1," in result.stdout


def test_one_run_is_checked_by_its_own_folder(runs, monkeypatch):
    run = make_run(runs)
    make_run(runs, seed=1)
    assert "runs: 1, broken: 0," in invoke("check", run.path).stdout
    monkeypatch.chdir(run.path)
    assert "runs: 1, broken: 0," in invoke("check", ".").stdout


def test_imported_masks_are_checked_where_there_are_no_runs_too(runs):
    opened = Opened(masks=random_masks(TINY, 0.3), format="mask", base=named_base("tiny", TINY), assumed=())
    whole, broken = (save_imported(runs, opened, source="m", label=label) for label in ("whole", "broken"))
    (broken.path / "masks.npz").write_bytes(b"PK")
    told = json.loads(invoke("check", runs, "--json").stdout)["imported"]
    assert {fact["name"]: fact["problem"] is None for fact in told} == {whole.mask_id: True, broken.mask_id: False}
    assert f"ok      {whole.mask_id}" in invoke("check", whole.path).stdout
    assert invoke("check", broken.path).exit_code == 1


def test_transfers_are_checked_with_their_runs(runs):
    run = make_run(runs)
    whole = make_transfer(runs, run, "cola")
    # Its run lies in another folder.
    make_transfer(runs, run, "cola", mask_run="somewhere-else")
    result = invoke("check", runs)
    assert result.exit_code == 0
    assert f"ok      {whole.path.name}" in result.stdout
    assert "transfers: 2, broken: 0, size: 0.00 MB" in result.stdout
    make_transfer(runs, run, "cola", mask_sha256="0" * 64)
    whole.path.write_text("{")
    result = invoke("check", runs)
    assert result.exit_code == 1
    assert f"BROKEN  {whole.path} is cut off or is not JSON" in result.stdout
    assert f"was made with another mask than run {run.run_id} holds" in result.stdout
    assert "transfers: 3, broken: 2," in result.stdout
    assert "runs: 1, broken: 0," in result.stdout
    assert "transfers" not in invoke("check", run.path).stdout


def test_a_shared_mask_that_no_run_names_is_listed_by_the_check(runs):
    make_run(runs, method="random")
    (runs / "shared_masks" / "left.npz").write_bytes(b"")
    result = invoke("check", runs)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "unused: shared_masks/left.npz, which no run here names, may be deleted"
    (runs / "shared_masks" / "left.npz").unlink()
    assert "unused" not in invoke("check", runs).stdout


def test_a_folder_with_no_runs_fails_the_check(runs, tmp_path, monkeypatch, capsys):
    assert run_main(monkeypatch, "check", runs) == 1
    assert f"Folder {runs} holds no runs." in capsys.readouterr().err
    (tmp_path / "file").write_text("x")
    assert run_main(monkeypatch, "check", tmp_path / "file") == 1
    assert "is no folder. Name a folder of runs" in capsys.readouterr().err


def test_a_name_that_is_not_text_can_be_printed(runs):
    (runs / os.fsdecode(b"r\xffn")).mkdir()
    assert r"r\udcffn has a name that is not UTF-8" in invoke("check", runs).stdout
    assert r"r\udcffn has a name that is not UTF-8" in invoke("runs", "--folder", runs).stderr


# --- export


def test_a_mask_is_exported_by_id_and_by_folder(own, tmp_path):
    run = make_run(own)
    for name, file in ((run.run_id, tmp_path / "one.npy"), (run.path, tmp_path / "two.npy")):
        result = invoke("export", name, file)
        assert result.stdout == f"{run.kept.sum():,} of {run.layout.n_weights:,} weights kept, in {file}\n"
        assert release_masks(np.load(file), run.layout, file.name).sha256 == run.masks.sha256


def test_what_cannot_be_exported_is_told(own, monkeypatch, capsys, tmp_path):
    dense = make_run(own, method="dense", remaining=1)
    for name, sentence in (
        ("rte-none", "There is no run 'rte-none' in "),
        (dense.run_id, f"Run {dense.run_id} (dense) holds no masks.npz."),
    ):
        assert run_main(monkeypatch, "export", name, tmp_path / "masks.npy") == 1
        assert capsys.readouterr().err.startswith(f"smp-lab: {sentence}")
    assert not (tmp_path / "masks.npy").exists()


# --- app


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What would take this process's place."""
    calls = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "chdir", calls.append)
    monkeypatch.setattr(
        os, "execve", lambda program, command, environment: calls.append((program, command, environment))
    )
    return calls


def test_the_app_is_started_from_the_clone_on_the_runs_that_were_named(started, runs, monkeypatch):
    monkeypatch.delenv("SMP_LAB_RUNS", raising=False)
    assert invoke("app").exit_code == 0
    folder, (program, command, environment) = started
    assert folder == project_folder()
    assert program == sys.executable
    assert command[1:5] == ["-m", "streamlit", "run", str(app_file())]
    assert "--server.port" not in command
    assert environment["SMP_LAB_RUNS"] == str(project_folder() / "runs")
    assert environment["STREAMLIT_SERVER_ADDRESS"] == "localhost"


def test_the_app_takes_a_port_and_a_relative_folder(started, runs, monkeypatch):
    invoke("app", "--port", 8600, "--runs", "runs")
    _, command, environment = started[-1]
    assert command[-2:] == ["--server.port", "8600"]
    assert environment["SMP_LAB_RUNS"] == str(runs)
    monkeypatch.setenv("SMP_LAB_RUNS", "runs")
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "0.0.0.0")
    monkeypatch.setenv("SMP_LAB_GLUE_DIR", "glue")
    invoke("app")
    assert started[-1][2]["SMP_LAB_RUNS"] == str(runs)
    assert started[-1][2]["SMP_LAB_GLUE_DIR"] == str(runs.parent / "glue")
    assert started[-1][2]["STREAMLIT_SERVER_ADDRESS"] == "0.0.0.0"


def smp_lab(*arguments, **options):
    command = [sys.executable, "-m", "smp_lab", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_a_shell_sees_sentences_and_statuses(runs):
    make_run(runs)
    process = smp_lab("check", runs)
    out, err = process.communicate(timeout=HANGS)
    assert (process.returncode, err) == (0, b"")
    assert b"runs: 1, broken: 0" in out
    process = smp_lab("runs", "--folder", runs / "missing")
    out, err = process.communicate(timeout=HANGS)
    assert (process.returncode, out) == (1, b"")
    assert b"does not exist" in err and b"Traceback" not in err


def test_the_app_answers_and_a_signal_stops_it(runs):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"STREAMLIT_SERVER_HEADLESS": "true"}
    process = smp_lab("app", "--port", port, "--runs", runs, cwd=runs, env=environment)
    try:
        deadline = time.monotonic() + HANGS
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=HANGS) as answer:
                    assert answer.read() == b"ok"
                break
            except OSError:
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=HANGS)
    finally:
        process.kill()
        process.communicate()
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=HANGS)


def test_a_polite_kill_leaves_nothing_half_written(tmp_path):
    waits = (
        "import tempfile, time\nfrom smp_lab import cli\n\n@cli.commands.command()\ndef wait(folder: str):\n"
        "    with tempfile.TemporaryDirectory(dir=folder) as made:\n        print(made, flush=True)\n"
        "        while True:\n            time.sleep(0.01)\n\ncli.main()\n"
    )
    command = [sys.executable, "-c", waits, "wait", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert Path(process.stdout.readline().strip()).is_dir()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=HANGS)
    assert process.returncode == 130 and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
