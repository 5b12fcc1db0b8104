import errno
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import HANGS, MINILM, TINY, make_run, random_masks, tiny_config
from storage.conftest import arrays_of, edit_record, npz, replace_file

from smp_lab.errors import MaskFormatError, RunExistsError, RunFormatError, RunWriteError
from smp_lab.layout import MATRIX_TYPES, EncoderLayout, MatrixId
from smp_lab.masks import MaskSet, compress_bits
from smp_lab.paths import (
    HISTORY_FILE,
    MASKS_FILE,
    PREDICTIONS_FILE,
    RECORD_FILE,
    SCORES_FILE,
    SHARED_MASKS_FOLDER,
    own_runs_folder,
    project_folder,
)
from smp_lab.storage import runs as storage
from smp_lab.storage import store
from smp_lab.storage.array_files import masks_to_bytes
from smp_lab.storage.runs import HISTORY_COLUMNS, list_runs, load_run, unused_shared_masks

ARRAY_FILES = [HISTORY_FILE, MASKS_FILE, SCORES_FILE, PREDICTIONS_FILE]


# --- what is written is what is read


def test_a_record_round_trips(runs):
    masks = random_masks(TINY, 0.5, seed=3)
    saved = make_run(runs, masks=masks)
    loaded = load_run(saved.path)
    loaded.verify()
    assert loaded.config == tiny_config()
    assert loaded.run_id == loaded.path.name == tiny_config().run_id
    assert loaded.layout == TINY
    assert loaded.main_metric == "accuracy"
    assert (loaded.main_value, loaded.n_examples) == (0.6, 40)
    assert loaded.has_masks and loaded.has_scores
    for matrix in masks:
        np.testing.assert_array_equal(loaded.masks.bits[matrix], masks.bits[matrix])
        row = loaded.kept[matrix.layer]
        assert row[MATRIX_TYPES.index(matrix.matrix_type)] == masks.kept(matrix)
    assert loaded.remaining == masks.remaining
    np.testing.assert_array_equal(loaded.kept_per_head[1, 2], masks.kept_per_head(MatrixId(1, "value")))
    assert tuple(loaded.history) == HISTORY_COLUMNS
    assert loaded.history["step"].tolist() == list(range(3, 31, 3))
    assert loaded.predictions["correct"].sum() == 24
    assert loaded.scores.steps.tolist() == [0, 10, 20, 30]


def test_history_keeps_nan_where_a_quantity_does_not_exist(runs, monkeypatch):
    save = storage.save_run

    def save_with_nan(folder, *, history, **rest):
        return save(folder, history=history.assign(regularizer=np.nan), **rest)

    monkeypatch.setitem(make_run.__globals__, "save_run", save_with_nan)
    assert make_run(runs).history["regularizer"].isna().all()


def test_a_run_without_scores_or_predictions_of_a_regression_is_whole(runs, monkeypatch):
    save = storage.save_run
    monkeypatch.setitem(make_run.__globals__, "save_run", lambda *a, **k: save(*a, **k | {"scores": None}))
    run = make_run(runs, task="stsb", label_words=("no", "yes"), regression_head="poles")
    run.verify()
    assert not run.has_scores
    assert run.predictions["error"].abs().sum() == 16
    with pytest.raises(RunFormatError, match=r"\(smp_s\) holds no scores.npz"):
        _ = run.scores


def test_a_run_without_a_mask_counts_all_weights_as_kept(runs, monkeypatch):
    save = storage.save_run
    monkeypatch.setitem(
        make_run.__globals__, "save_run", lambda *a, **k: save(*a, **k | {"scores": None, "masks": None})
    )
    run = make_run(runs, remaining=1)
    run.verify()
    assert not run.has_masks
    assert run.remaining == 1
    np.testing.assert_array_equal(run.kept[0], [256] * 4 + [512] * 2)
    np.testing.assert_array_equal(run.kept_per_head[0], [[128, 128]] * 4)
    with pytest.raises(RunFormatError, match="holds no masks.npz"):
        _ = run.masks


def test_a_record_of_minilm_stays_small(runs):
    run = make_run(runs, layout=MINILM, remaining=0.5)
    assert sum(file.stat().st_size for file in run.path.iterdir()) < 2_500_000


def test_records_are_listed_by_id_and_taken_from_the_first_folder(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    make_run(first, seed=1, accuracy=0.9)
    make_run(second, seed=1, accuracy=0.1)
    make_run(second, seed=0)
    index = list_runs([first, second, tmp_path / "missing"])
    assert list(index.records) == sorted(index.records)
    assert {run.config.seed: run.path.parent for run in index.records.values()} == {0: second, 1: first}
    assert index.problems == ()


def test_hidden_folders_and_loose_files_are_not_runs(runs):
    (runs / ".unfinished" / "x").mkdir(parents=True)
    (runs / ".writing-x").mkdir()
    (runs / "README.md").write_text("x")
    (runs / "loop").symlink_to("loop")
    found = list_runs([runs])
    assert (found.records, found.problems) == ({}, ())


def test_own_runs_go_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SMP_LAB_RUNS", str(tmp_path))
    assert own_runs_folder() == tmp_path
    monkeypatch.setenv("SMP_LAB_RUNS", "~/masks")
    assert own_runs_folder() == Path.home() / "masks"
    monkeypatch.setenv("SMP_LAB_RUNS", "")
    assert own_runs_folder() == project_folder() / "runs"


def test_the_present_folder_can_be_a_run(write_run, monkeypatch):
    run = write_run()
    monkeypatch.chdir(run.path)
    load_run(Path()).verify()


# --- damaged folders


def test_a_folder_without_a_record_is_no_run(runs):
    (runs / "empty").mkdir()
    with pytest.raises(RunFormatError, match="empty is not a run: it holds no run.json"):
        load_run(runs / "empty")
    with pytest.raises(RunFormatError, match="missing is not a run"):
        load_run(runs / "missing")


def test_a_file_or_a_folder_in_the_wrong_place_is_no_run(runs):
    (runs / "file").write_text("{}")
    with pytest.raises(RunFormatError, match=r"run.json cannot be read \(Not a directory\)"):
        load_run(runs / "file")
    (runs / "folder" / RECORD_FILE).mkdir(parents=True)
    with pytest.raises(RunFormatError, match=r"run.json cannot be read \(Is a directory\)"):
        load_run(runs / "folder")
    (runs / "loop").mkdir()
    (runs / "loop" / RECORD_FILE).symlink_to(RECORD_FILE)
    with pytest.raises(RunFormatError, match=r"run.json cannot be read \(Is a link; only regular"):
        load_run(runs / "loop")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema_version": NaN}', b'{"schema_version": ' + b"1" * 5000 + b"}"],
    ids=["empty", "cut off", "not text", "nested", "NaN", "endless number"],
)
def test_a_record_that_is_not_json_is_refused(write_run, content):
    run = write_run()
    (run.path / RECORD_FILE).write_bytes(content)
    with pytest.raises(RunFormatError, match="is cut off or is not JSON"):
        load_run(run.path)


def test_a_record_cut_off_anywhere_is_refused(write_run):
    run = write_run()
    whole = (run.path / RECORD_FILE).read_bytes()
    for length in range(0, len(whole) - 2, 97):
        (run.path / RECORD_FILE).write_bytes(whole[:length])
        with pytest.raises(RunFormatError):
            load_run(run.path)


@pytest.mark.parametrize("content", ["[]", "null", '"run"', "{}", '{"schema_version": null}'])
def test_a_record_without_a_schema_is_refused(write_run, content):
    run = write_run()
    (run.path / RECORD_FILE).write_text(content)
    with pytest.raises(RunFormatError, match="version None; this SMP Lab reads .* Restore"):
        load_run(run.path)


def test_a_newer_schema_says_to_update(write_run):
    run = write_run()
    edit_record(run, lambda record: record.update(schema_version=4, config={"unheard": "of"}))
    with pytest.raises(RunFormatError, match="version 4; this SMP Lab reads .* Update SMP Lab to read"):
        load_run(run.path)


def test_edited_settings_no_longer_fit_the_id(write_run):
    run = write_run()
    edit_record(run, lambda record: record["config"].update(score_learning_rate=0.03))
    with pytest.raises(RunFormatError, match=f"was altered: it says run {run.run_id}, but its settings are those of"):
        load_run(run.path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record["results"]["metrics"].update(accuracy=0.99),
        lambda record: record["results"]["evaluations"][0].update(accuracy=0.99),
        lambda record: record["provenance"].update(wall_seconds=1),
        lambda record: record["provenance"].update(remark="a good run"),
        lambda record: record.update(sha256="0" * 64),
    ],
)
def test_an_edited_result_is_noticed(write_run, edit):
    run = write_run()
    edit_record(run, edit, sealed=False)
    with pytest.raises(RunFormatError, match="was altered: its content is not what its own sha256 says"):
        load_run(run.path)


def test_an_edited_id_no_longer_fits_the_settings(write_run):
    run = write_run()
    edit_record(run, lambda record: record.update(run_id="rte-smp_s-r0.5-s0-00000000"))
    with pytest.raises(RunFormatError, match="it says run rte-smp_s-r0.5-s0-00000000"):
        load_run(run.path)


def test_a_renamed_folder_is_refused(write_run):
    run = write_run()
    moved = run.path.rename(run.path.with_name("best"))
    with pytest.raises(RunFormatError, match=rf"best holds run {run.run_id}; give it its name back"):
        load_run(moved)


@pytest.mark.parametrize("part", ["config", "layout", "provenance", "results", "files", "run_id"])
def test_a_missing_part_is_named(write_run, part):
    run = write_run()
    edit_record(run, lambda record: record.pop(part))
    with pytest.raises(RunFormatError, match=rf"run.json lacks a part: '{part}'"):
        load_run(run.path)


@pytest.mark.parametrize("part", ["config", "layout", "provenance", "results", "files", "run_id"])
@pytest.mark.parametrize("value", [None, 1, 1.5, "text", True, [], [1, "a"], [[]], {}, {"a": 1}])
def test_a_part_of_another_type_is_refused(write_run, part, value):
    run = write_run()
    edit_record(run, lambda record: record.update({part: value}))
    if isinstance(value, dict) and part == "provenance":
        load_run(run.path)  # nothing must stand there
    else:
        with pytest.raises(RunFormatError):
            load_run(run.path)


@pytest.mark.parametrize("name", tiny_config().to_dict())
@pytest.mark.parametrize("value", [None, -1, "x", [], {}, 10**400, True])
def test_a_setting_of_another_type_or_value_is_refused(write_run, name, value):
    run = write_run()
    edit_record(run, lambda record: record["config"].update({name: value}))
    if value is None and run.config.to_dict()[name] is None:
        assert load_run(run.path).config == run.config
    else:
        with pytest.raises(RunFormatError):
            load_run(run.path)


@pytest.mark.parametrize(
    "name", ["metrics", "n_examples", "evaluations", "best", "trainable_parameters", "total_steps", "new_parameters"]
)
def test_missing_results_are_named(write_run, name):
    run = write_run()
    edit_record(run, lambda record: record["results"].pop(name))
    with pytest.raises(RunFormatError, match=f"lacks a part: 'results.{name}'"):
        load_run(run.path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metrics", {"f1": 0.5}),
        ("metrics", {"accuracy": 10**400}),
        ("n_examples", {}),
        ("n_examples", {"validation": 0}),
        ("best", {"metric": "f1", "value": 0.5, "step": 1}),
        ("kept", []),
        ("kept", [[1] * 6]),
        ("kept", [[1] * 6, [1] * 5]),
        ("kept", [[1.5] * 6] * 2),
        ("kept", [[None] * 6] * 2),
        ("kept", [[2**70] * 6] * 2),
        ("kept", [[-1] * 6] * 2),
        ("kept", [[257] * 6] * 2),
        ("kept_per_head", [[[1] * 2] * 4]),
        ("kept_per_head", [[[1] * 2] * 4] * 2),
    ],
)
def test_results_that_do_not_fit_are_refused(write_run, name, value):
    run = write_run()
    edit_record(run, lambda record: record["results"].update({name: value}))
    with pytest.raises(RunFormatError, match=rf"results.{name}|do not fit|too long for a number"):
        load_run(run.path)


@pytest.mark.parametrize("name", ARRAY_FILES)
@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b"", lambda b: bytes([*b[:99], b[99] ^ 1, *b[100:]]), lambda b: b + b"\0"]
)
def test_an_altered_file_is_refused(write_run, name, damage):
    run = write_run()
    (run.path / name).write_bytes(damage((run.path / name).read_bytes()))
    with pytest.raises(
        RunFormatError, match=rf"{name} is cut off or was altered \(its sha256 is not the one in its record"
    ):
        load_run(run.path).verify()


@pytest.mark.parametrize("name", ARRAY_FILES)
def test_a_missing_file_is_refused(write_run, name):
    run = write_run()
    (run.path / name).unlink()
    with pytest.raises(RunFormatError, match=rf"{name} cannot be read \(No such file or directory\)"):
        load_run(run.path).verify()


class Trap:
    """Pickles to a call that would leave a file behind."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", ARRAY_FILES)
def test_a_pickle_in_an_archive_is_refused_and_not_run(write_run, tmp_path, name):
    run = write_run()
    trap = tmp_path / "sprung"
    arrays = arrays_of(run, name)
    key = next(iter(arrays))
    replace_file(run, name, npz(arrays | {key: np.array([Trap(trap)], object)}, allow_pickle=True))
    with pytest.raises(RunFormatError, match="is not a plain archive of numbers.*Object arrays cannot be loaded"):
        load_run(run.path).verify()
    assert not trap.exists()


@pytest.mark.parametrize(
    ("bits", "sentence"),
    [
        (np.zeros(31, np.uint8), "layer 0 query: Mask holds 31 bytes or more; expected 32 for 256 weights"),
        (np.zeros(33, np.uint8), "layer 0 query: Mask holds 33 bytes or more; expected 32 for 256 weights"),
        (np.zeros(32, np.uint8), "keeps other weights than its record says"),
    ],
)
def test_a_mask_of_another_length_or_count_is_refused(write_run, bits, sentence):
    run = write_run()
    replace_file(run, MASKS_FILE, npz(arrays_of(run, MASKS_FILE) | {"0.query": compress_bits(bits)}))
    with pytest.raises(MaskFormatError, match=sentence):
        load_run(run.path).verify()


def test_masks_whose_heads_were_swapped_are_refused(write_run):
    """Every matrix keeps its count, so that only the counts per head tell."""
    run = write_run(mask_seed=1)
    dense = {matrix: run.masks.dense(matrix) for matrix in run.masks}
    query = MatrixId(0, "query")
    assert len(set(run.masks.kept_per_head(query))) == 2
    dense[query] = dense[query][::-1]
    replace_file(run, MASKS_FILE, masks_to_bytes(type(run.masks).from_dense(TINY, dense)))
    with pytest.raises(MaskFormatError, match="keeps other weights than its record says"):
        load_run(run.path).verify()


@pytest.mark.parametrize("key", ["0.query", "1.output"])
@pytest.mark.parametrize("value", [None, np.zeros((2, 2), np.uint8), np.zeros(3)])
def test_a_mask_that_is_missing_or_no_stream_is_refused(write_run, key, value):
    run = write_run()
    arrays = arrays_of(run, MASKS_FILE)
    del arrays[key]
    if value is not None:
        arrays[key] = value
    replace_file(run, MASKS_FILE, npz(arrays))
    with pytest.raises(MaskFormatError, match=rf"no mask of layer {key.replace('.', ' ')} in masks.npz"):
        load_run(run.path).verify()


def test_a_mask_too_many_is_refused(write_run):
    run = write_run()
    arrays = arrays_of(run, MASKS_FILE)
    replace_file(run, MASKS_FILE, npz(arrays | {"2.query": arrays["0.query"]}))
    with pytest.raises(MaskFormatError, match="holds 13 masks; its encoder has 12"):
        load_run(run.path).verify()


@pytest.mark.parametrize("name", [HISTORY_FILE, PREDICTIONS_FILE])
@pytest.mark.parametrize(
    "spoil",
    [lambda a: a[:-1], lambda a: a.reshape(-1, 1), lambda a: a[0], lambda a: None],
    ids=["shorter", "a matrix", "a number", "missing"],
)
def test_a_column_that_does_not_fit_is_refused(write_run, name, spoil):
    run = write_run()
    arrays = arrays_of(run, name)
    column = next(iter(arrays))
    spoilt = spoil(arrays.pop(column))
    replace_file(run, name, npz(arrays if spoilt is None else arrays | {column: spoilt}))
    with pytest.raises(RunFormatError, match="columns .*(or unequal lengths|with a row for each of 40 examples)"):
        load_run(run.path).verify()


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda a: a.pop("edges"), "has other fields"),
        (lambda a: a.update(extra=np.zeros(1)), "has other fields"),
        (lambda a: a.update(steps=np.int64(1)), "has other fields"),
        (
            lambda a: a.update(kept=a["kept"][:-1]),
            r"kept of shape \(3, 12\) .* expected \(4, 12\)",
        ),
        (
            lambda a: a.update(score_cut=a["score_cut"].T),
            r"score_cut of shape \(12, 4\) .* \(4, 12\)",
        ),
        (lambda a: a.update(kept=a["kept"] + 1), "does not end at the kept counts"),
        (
            lambda a: a.update({n: v[:0] for n, v in a.items() if n not in ("edges", "weight_edges") and len(v) == 4}),
            "does not end at the kept counts",
        ),
    ],
)
def test_a_score_history_that_does_not_fit_is_refused(write_run, edit, sentence):
    run = write_run()
    arrays = arrays_of(run, SCORES_FILE)
    edit(arrays)
    replace_file(run, SCORES_FILE, npz(arrays))
    with pytest.raises(RunFormatError, match=sentence):
        load_run(run.path).verify()


def test_files_that_are_no_part_of_a_record_are_refused(write_run):
    run = write_run()
    (run.path / "notes.txt").write_text("x")
    with pytest.raises(RunFormatError, match="holds files that are not part of it: notes.txt"):
        run.verify()
    edit_record(run, lambda record: record["files"].update({"../../secret": {"size": 1, "sha256": "0" * 64}}))
    with pytest.raises(RunFormatError, match="has files.../../secret.* = .*input should be 'history.npz'"):
        load_run(run.path)


def test_an_unlisted_mask_is_no_part_of_a_record(write_run):
    run = write_run()
    edit_record(run, lambda record: record["files"].pop(MASKS_FILE))
    with pytest.raises(RunFormatError, match="holds files that are not part of it: masks.npz"):
        load_run(run.path).verify()


def test_damaged_folders_are_listed_beside_the_good_ones(runs):
    good, bad = make_run(runs), make_run(runs, seed=1)
    (bad.path / RECORD_FILE).write_text("{")
    index = list_runs([runs])
    assert list(index.records) == [good.run_id]
    ((path, sentence),) = index.problems
    assert path == bad.path
    assert "is cut off or is not JSON" in sentence


def test_a_file_in_place_of_the_folder_of_runs_is_a_problem(tmp_path):
    (tmp_path / "runs").write_text("x")
    ((path, sentence),) = list_runs([tmp_path / "runs"]).problems
    assert path == tmp_path / "runs"
    assert sentence.endswith("of runs cannot be read (Not a directory).")


def test_a_folder_of_runs_that_may_not_be_read_is_a_problem(runs, monkeypatch):
    def refuse(folder):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    ((_, sentence),) = list_runs([runs]).problems
    assert sentence == f"Folder {runs} of runs cannot be read (Permission denied)."


def test_a_name_that_is_not_text_gives_a_sentence_that_is(runs):
    (runs / os.fsdecode(b"r\xffn")).mkdir()
    ((_, sentence),) = list_runs([runs]).problems
    assert sentence.encode()
    assert r"r\udcffn has a name that is not UTF-8. Rename it." in sentence


# --- writing


def test_a_record_is_never_overwritten(runs):
    run = make_run(runs)
    before = {file.name: file.read_bytes() for file in run.path.iterdir()}
    with pytest.raises(RunExistsError, match=f"Run {run.run_id} is already in .*; records are never overwritten"):
        make_run(runs, accuracy=0.9)
    assert {file.name: file.read_bytes() for file in run.path.iterdir()} == before
    assert list(runs.iterdir()) == [run.path]


def test_a_run_that_appears_while_another_is_written_wins(runs, monkeypatch):
    write = store.write_durably

    def overtaken(path, content):
        write(path, content)
        if path.name == RECORD_FILE:
            monkeypatch.setattr(store, "write_durably", write)
            make_run(runs, accuracy=0.9)

    monkeypatch.setattr(store, "write_durably", overtaken)
    with pytest.raises(RunExistsError, match="by another process meanwhile"):
        make_run(runs, accuracy=0.1)
    (run,) = list_runs([runs]).records.values()
    assert run.main_value == 0.9
    assert list(runs.iterdir()) == [run.path]


RACER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import make_run
from smp_lab.errors import RunExistsError
runs, accuracy = Path(sys.argv[2]), float(sys.argv[3])
(runs.parent / f"ready-{accuracy}").touch()
while len(list(runs.parent.glob("ready-*"))) < 3:
    time.sleep(0.001)
for seed in range(10):
    try:
        make_run(runs, accuracy=accuracy, seed=seed)
        sys.stdout.write(f"{seed} ")
    except RunExistsError:
        pass
"""


@pytest.mark.slow
def test_of_processes_that_write_the_same_run_one_wins(runs):
    command = [sys.executable, "-c", RACER, str(Path(__file__).parents[1]), str(runs)]
    racers = [
        subprocess.Popen([*command, accuracy], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for accuracy in ("0.25", "0.5", "0.75")
    ]
    outputs = [racer.communicate(timeout=HANGS) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], [error for _, error in outputs]
    written = [int(seed) for out, _ in outputs for seed in out.split()]
    assert sorted(written) == list(range(10))
    index = list_runs([runs])
    assert index.problems == ()
    winners = {run.config.seed: run.main_value for run in index.records.values()}
    assert winners == {int(s): v for (out, _), v in zip(outputs, (0.25, 0.5, 0.75), strict=True) for s in out.split()}
    for run in index.records.values():
        run.verify()
    assert len(list(runs.iterdir())) == 10


def fill_disk(monkeypatch, after):
    """Let so many files reach the disk, and no more."""
    calls = iter(range(after))
    fsync = os.fsync

    def full(descriptor):
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.parametrize("after", range(6))
def test_a_full_disk_leaves_nothing_behind(runs, monkeypatch, after):
    fill_disk(monkeypatch, after)
    with pytest.raises(RunWriteError, match="could not be written to .*: No space left on device. Nothing was left"):
        make_run(runs)
    assert list(runs.iterdir()) == []


@pytest.mark.parametrize(
    ("method", "after"), [*(("random", after) for after in range(5)), *(("magnitude", after) for after in range(6))]
)
def test_a_full_disk_leaves_no_shared_mask_behind(runs, monkeypatch, method, after):
    base = random_masks(TINY, 0.5) if method == "magnitude" else None
    fill_disk(monkeypatch, after)
    with pytest.raises(RunWriteError, match="No space left on device. Nothing was left behind"):
        make_run(runs, method=method, base=base)
    assert list(runs.iterdir()) == []


def test_an_interrupt_leaves_nothing_behind(runs, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_run(runs)
    assert list(runs.iterdir()) == []


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_place_of_the_folder_is_a_sentence(tmp_path, below):
    (tmp_path / "runs").write_text("x")
    with pytest.raises(RunWriteError, match="could not be written to .*: (Not a directory|File exists)"):
        make_run(tmp_path / "runs" / below)
    assert (tmp_path / "runs").read_text() == "x"


def test_a_folder_that_may_not_be_written_is_a_sentence(runs, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunWriteError, match="could not be written to .*: Permission denied"):
        make_run(runs)
    assert list(runs.iterdir()) == []


def test_a_missing_folder_is_made(tmp_path):
    make_run(tmp_path / "a" / "b").verify()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32(0.5), {1, 2}])
def test_a_result_that_is_not_json_is_a_sentence_and_leaves_nothing_behind(runs, monkeypatch, value):
    save = storage.save_run

    def save_with_value(folder, *, results, **rest):
        return save(folder, results={**results, "extra": value}, **rest)

    monkeypatch.setitem(make_run.__globals__, "save_run", save_with_value)
    with pytest.raises(RunWriteError, match="cannot be written as JSON: .* None where a value is missing"):
        make_run(runs)
    assert list(runs.iterdir()) == []


def test_results_that_could_not_be_read_back_are_not_written(runs, monkeypatch):
    save = storage.save_run

    def without_best(folder, *, results, **rest):
        return save(folder, results={name: value for name, value in results.items() if name != "best"}, **rest)

    monkeypatch.setitem(make_run.__globals__, "save_run", without_best)
    with pytest.raises(RunFormatError, match="lacks a part: 'results.best'"):
        make_run(runs)
    assert list(runs.iterdir()) == []


def test_masks_of_another_encoder_are_not_written(runs):
    other = EncoderLayout(n_layers=2, hidden_size=16, intermediate_size=32, n_heads=4, n_parameters=6000)
    with pytest.raises(MaskFormatError, match="Masks of run .* n_heads=4.*; its encoder is .*n_heads=2"):
        make_run(runs, masks=random_masks(other, 0.5))
    assert list(runs.iterdir()) == []


def test_controls_share_one_mask_whatever_their_task(runs):
    controls = [make_run(runs, task=task, method="random", mask_seed=1) for task in ("rte", "cola")]
    controls.append(make_run(runs, task="rte", method="random", mask_seed=2, seed=1))
    folder = runs / SHARED_MASKS_FOLDER
    assert len(list(folder.iterdir())) == 2
    assert controls[0].masks_file == controls[1].masks_file != controls[2].masks_file
    for control in list_runs([runs]).records.values():
        control.verify()
        assert not (control.path / MASKS_FILE).exists()
    assert all(np.array_equal(controls[0].masks.bits[m], controls[1].masks.bits[m]) for m in controls[0].masks)
    assert not list_runs([runs]).problems


def near(base, n_flips):
    """A mask that differs from another one in some weights of one matrix."""
    dense = {matrix: base.dense(matrix) for matrix in base}
    dense[next(iter(base))].flat[:n_flips] ^= True
    return MaskSet.from_dense(base.layout, dense)


def test_masks_are_told_by_what_differs_from_one_that_they_share(runs):
    base = random_masks(TINY, 0.5)
    masks = [near(base, n_flips) for n_flips in (3, 5)]
    saved = [make_run(runs, method="magnitude", seed=i, masks=each, base=base) for i, each in enumerate(masks)]
    alone = make_run(runs, method="magnitude", seed=2, masks=masks[0])
    (shared,) = (runs / SHARED_MASKS_FOLDER).iterdir()
    assert shared.read_bytes() == masks_to_bytes(base)
    for run, mask in zip(saved, masks, strict=True):
        loaded = load_run(run.path)
        loaded.verify()
        assert loaded.masks.sha256 == mask.sha256
        assert loaded.mask_record.digest.endswith(shared.stem)
        assert loaded.mask_bytes < alone.mask_bytes
    for _ in ("read", "from the index"):
        listed = list_runs([runs], kept_in=runs.parent / "index").records
        assert [listed[run.run_id].masks.sha256 for run in saved] == [mask.sha256 for mask in masks]
    assert unused_shared_masks(runs) == []
    shutil.rmtree(saved[0].path)
    assert unused_shared_masks(runs) == []
    shutil.rmtree(saved[1].path)
    assert unused_shared_masks(runs) == [shared]


def test_a_base_that_is_altered_or_gone_or_another_one_is_said(runs):
    base = random_masks(TINY, 0.5)
    run = make_run(runs, method="magnitude", masks=near(base, 3), base=base)
    other = make_run(runs, method="random", masks=random_masks(TINY, 0.3))
    (shared,) = set((runs / SHARED_MASKS_FOLDER).iterdir()) - {other.masks_file}
    content = shared.read_bytes()
    shared.write_bytes(content[:-1])
    with pytest.raises(RunFormatError, match=rf"{SHARED_MASKS_FOLDER}/{shared.name} is cut off or was altered"):
        load_run(run.path).verify()
    shared.unlink()
    with pytest.raises(
        RunFormatError, match=rf"{SHARED_MASKS_FOLDER}/{shared.name} cannot be read .*Copy {SHARED_MASKS_FOLDER}"
    ):
        load_run(run.path).verify()
    edit_record(run, lambda record: record["files"][MASKS_FILE].update(base=other.masks_file.stem))
    with pytest.raises(MaskFormatError, match="keeps other weights than its record says"):
        load_run(run.path).verify()


def test_a_folder_of_shared_masks_that_is_a_link_out_is_not_followed(runs, tmp_path):
    base = random_masks(TINY, 0.5)
    run, control = make_run(runs, method="magnitude", masks=near(base, 3), base=base), make_run(runs, method="random")
    outside = (runs / SHARED_MASKS_FOLDER).rename(tmp_path / "outside")
    (runs / SHARED_MASKS_FOLDER).symlink_to(outside)
    for refused in (
        lambda: run.masks,
        lambda: load_run(control.path).masks,
        lambda: unused_shared_masks(runs),
        lambda: make_run(runs, method="random", seed=1),
    ):
        with pytest.raises(RunFormatError, match="is a link out of its folder. Copy there what it names"):
            refused()


def test_masks_of_the_present_folder_and_behind_a_link_are_read(runs, monkeypatch):
    base = random_masks(TINY, 0.5)
    run = make_run(runs / "sub", method="magnitude", masks=near(base, 3), base=base)
    monkeypatch.chdir(run.path)
    assert load_run(Path()).masks.sha256 == near(base, 3).sha256
    (runs / run.run_id).symlink_to(run.path)
    load_run(runs / run.run_id).verify()


def test_shared_masks_that_no_run_names_are_found(runs):
    assert unused_shared_masks(runs) == []
    control, other = (make_run(runs, method="random", mask_seed=seed, seed=seed) for seed in (0, 1))
    make_run(runs, method="smp_s")
    assert unused_shared_masks(runs) == []
    shutil.rmtree(other.path)
    assert unused_shared_masks(runs) == [other.masks_file]
    assert control.masks_file.exists()


def test_a_shared_mask_that_is_altered_or_gone_is_said(runs):
    control = make_run(runs, method="random")
    content = control.masks_file.read_bytes()
    control.masks_file.write_bytes(content[:-1])
    with pytest.raises(RunFormatError, match=r"masks.npz is cut off or was altered"):
        load_run(control.path).verify()
    control.masks_file.unlink()
    with pytest.raises(RunFormatError, match=rf"{SHARED_MASKS_FOLDER}/[0-9a-f]{{64}}.npz cannot be read"):
        load_run(control.path).verify()
    # A run that is copied by itself takes its mask along under the usual name.
    (control.path / MASKS_FILE).write_bytes(content)
    load_run(control.path).verify()


def test_the_best_at_the_final_density_is_none_of_the_denser_ones(write_run):
    """Whether a schedule brought it there, or the method's own training, as of L0, whose every evaluation is denser."""
    run = write_run()
    for kept, wanted in (((0.9, 0.5, 0.5, 0.5), 0.7), ((0.9, 0.8, 0.7, 0.5), 0.5), ((1.0, 1.0, 1.0, 1.0), 0.9)):
        evaluations = [
            {"step": step, "accuracy": value, "remaining": remaining}
            for step, (value, remaining) in enumerate(zip((0.9, 0.6, 0.7, 0.5), kept, strict=True))
        ]
        run = replace(run, results={**run.results, "evaluations": evaluations})
        assert run.best_at_final_density("accuracy") == wanted
