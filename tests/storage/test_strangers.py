"""Records of strangers: each is taken or named in a sentence, and those beside it are there."""

import bz2
import io
import json
import lzma
import os
import shutil
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from conftest import make_run, make_transfer
from storage.conftest import arrays_of, edit_record, npz, replace_file
from typer.testing import CliRunner

from smp_lab import cli
from smp_lab.errors import RunFormatError, SmpLabError
from smp_lab.paths import HISTORY_FILE, MASKS_FILE, PREDICTIONS_FILE, RECORD_FILE, SCORES_FILE
from smp_lab.storage import store
from smp_lab.storage.archives import from_npz
from smp_lab.storage.runs import list_runs, load_run
from smp_lab.storage.transfers import TRANSFERS


@pytest.fixture(scope="module")
def three_runs(tmp_path_factory):
    runs = tmp_path_factory.mktemp("template") / "runs"
    make_run(runs, seed=1, task="cola"), make_run(runs, seed=1, task="sst2")
    return make_run(runs)


@pytest.fixture
def stranger(three_runs, runs):
    """A record between two others; `told` says of it what the listing and the check say."""
    shutil.copytree(three_runs.path.parent, runs, dirs_exist_ok=True)
    return load_run(runs / three_runs.run_id)


def told(run):
    """What is said of a run; "" where it is taken. The runs beside it must be there in any case."""
    runs = run.path.parent
    index = list_runs([runs])
    beside = {each for each in index.records if each != run.run_id}
    assert len(beside) == 2
    checked = CliRunner().invoke(cli.commands, ["check", str(runs)])
    assert checked.exception is None or isinstance(checked.exception, SystemExit), repr(checked.exception)
    assert all(f"ok      {each}" in checked.stdout for each in beside)
    listed = CliRunner().invoke(cli.commands, ["runs", "--folder", str(runs)])
    assert listed.exit_code == 0 and all(each in listed.stdout for each in beside)
    (line,) = [line for line in checked.stdout.splitlines() if line.startswith("BROKEN")] or [""]
    assert (checked.exit_code == 1) == bool(line)
    return line


def set_in(*path):
    *path, last, value = path

    def change(record):
        for key in path:
            record = record[key]
        record[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (set_in("results", "n_examples", "validation", 10**18), "n_examples.validation = 1000000000000000000: input"),
        (set_in("results", "n_examples", "validation", 41), "with a row for each of 41 examples"),
        (set_in("results", "n_examples", "validation", True), "n_examples.validation = True"),
        (set_in("results", "metrics", "accuracy", 60.0), "metrics.accuracy = 60.0: input should be less than"),
        (set_in("results", "evaluations", [{}]), "lacks a part: 'results.evaluations.0.step'"),
        (set_in("results", "evaluations", []), "evaluations = []: list should have at least 1"),
        (set_in("results", "evaluations", [[1]]), "evaluations.0 = [1]"),
        (set_in("results", "evaluations", 0, "accuracy", None), "evaluations without accuracy"),
        (set_in("results", "evaluations", 0, "accuracy", "0.5"), "evaluations without accuracy"),
        (set_in("results", "evaluations", 0, "remaining", 2), "evaluations.0.remaining = 2"),
        (set_in("results", "best", "value", "x"), "best.value = 'x'"),
        (set_in("results", "extra", {"deep": [[]]}), "results.extra"),
        (set_in("provenance", "wall_seconds", None), "provenance.wall_seconds = None"),
        (set_in("provenance", "wall_seconds", "long"), "provenance.wall_seconds = 'long'"),
        (set_in("provenance", "wall_seconds", 1e300), "provenance.wall_seconds = 1e+300"),
        (set_in("provenance", "command", ["rm"]), "provenance.command = ['rm']"),
        (set_in("provenance", "command", "x" * 10_001), "at most 10000 characters"),
        (set_in("provenance", "git_commit", 7), "provenance.git_commit = 7"),
        (set_in("provenance", "packages", {"torch": 2}), "provenance.packages.torch = 2"),
        (set_in("provenance", "processes", [1]), "provenance.processes.0 = 1"),
        (set_in("provenance", "remark", {}), "provenance.remark"),
        (set_in("files", {}), "names files (none)"),
        (set_in("files", HISTORY_FILE, {"size": 1, "sha256": "../../../etc/passwd"}), "files.history.npz.sha256 = "),
        (set_in("files", HISTORY_FILE, {"size": -1, "sha256": "0" * 64}), "files.history.npz.size = -1"),
        (set_in("layout", "n_layers", 10**9), "n_layers = 1,000,000,000; at most 128"),
        (
            set_in("layout", {"n_layers": 128, "hidden_size": 8192, "intermediate_size": 8, "n_heads": 1}),
            "n_parameters",
        ),
        (set_in("remark", "x"), "remark = 'x': extra inputs are not permitted"),
        (set_in("config", "base_model", "\ud800"), "surrogates not allowed"),
        (set_in("provenance", "\udfff", 1), "surrogates not allowed"),
    ],
)
def test_a_sealed_record_of_nonsense_is_named(stranger, change, sentence):
    edit_record(stranger, change)
    assert sentence in told(stranger)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" * 400, "NaN", "-Infinity", "1" * 5000])
def test_a_number_that_is_none_is_named(stranger, number):
    file = stranger.path / RECORD_FILE
    text = file.read_text()
    assert '"wall_seconds": 12.5' in text
    file.write_text(text.replace('"wall_seconds": 12.5', f'"wall_seconds": {number}'))
    assert "is cut off or is not JSON" in told(stranger)


@pytest.mark.parametrize("name", [b"r\xffn", b"\xed\xa0\x80", b"n" * 255, b"a\nb"])
def test_a_folder_of_any_name_is_named(stranger, name):
    shutil.copytree(stranger.path, stranger.path.parent / os.fsdecode(name))
    assert told(stranger).startswith("BROKEN  ")
    assert len(list_runs([stranger.path.parent]).records) == 3


def columns(**changes):
    return lambda arrays: arrays | {name: change(arrays[name]) for name, change in changes.items()}


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        (HISTORY_FILE, columns(loss=lambda a: a > 0.6), "column loss of bool"),
        (HISTORY_FILE, columns(step=lambda a: a * 1.0), "column step of float64"),
        (HISTORY_FILE, columns(step=lambda a: a[::-1]), "steps that do not rise"),
        (HISTORY_FILE, columns(kept=lambda a: -a), "a count below 0"),
        (PREDICTIONS_FILE, lambda arrays: {name: a[:0] for name, a in arrays.items()}, "row for each of 40 examples"),
        (PREDICTIONS_FILE, columns(prediction=lambda a: a * np.nan), "column prediction of float64"),
        (PREDICTIONS_FILE, columns(prediction=lambda a: a + 2), "predicts a class that task 'rte' does not have"),
        (PREDICTIONS_FILE, columns(correct=lambda a: a.astype(int)), "column correct of int64"),
        (PREDICTIONS_FILE, columns(split=lambda a: a + 1), "other numbers of examples in its splits"),
        (SCORES_FILE, columns(edges=lambda a: a * np.nan), "edges that do not rise from one infinity"),
        (SCORES_FILE, columns(edges=lambda a: a[::-1]), "edges that do not rise from one infinity"),
        (SCORES_FILE, columns(weight_edges=lambda a: np.nan_to_num(a)), "weight_edges that do not rise"),
        (SCORES_FILE, columns(steps=lambda a: a * 0), "steps that do not rise"),
        (SCORES_FILE, columns(kept_histogram=lambda a: a + 1), "do not add up: kept_histogram"),
        (SCORES_FILE, columns(removed_histogram=lambda a: a + 1), "do not add up: removed_histogram"),
        (SCORES_FILE, columns(weight_score_histogram=lambda a: a * 0), "do not add up: weight_score_histogram"),
        (SCORES_FILE, columns(kept_by_magnitude=lambda a: a + 10**6), "do not add up: kept_by_magnitude"),
        (SCORES_FILE, columns(flips_in=lambda a: a - 1), "a count below 0 in flips_in"),
        (SCORES_FILE, columns(flips_in=lambda a: a * 1.0), "flips_in of shape (4, 12) and type float64"),
        (MASKS_FILE, lambda arrays: arrays | {"0.query": arrays["0.query"][:0]}, "Mask holds 0 bytes or more"),
    ],
)
def test_arrays_of_nonsense_are_named(stranger, name, change, sentence):
    replace_file(stranger, name, npz(change(arrays_of(stranger, name))))
    assert sentence in told(stranger)


def test_numbers_of_a_regression_are_finite(runs):
    run = make_run(runs, task="stsb", label_words=("no", "yes"), regression_head="poles")
    arrays = arrays_of(run, PREDICTIONS_FILE)
    replace_file(run, PREDICTIONS_FILE, npz(arrays | {"error": arrays["error"] * np.nan}))
    with pytest.raises(SmpLabError, match="a column error of float32 that is not of plain numbers"):
        load_run(run.path).verify()


def archive_of(member):
    """An archive of one member that says it is an array."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("step.npy", member)
    return buffer.getvalue()


def header(shape):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def recompressed(content, method):
    """The same archive, its members packed in another way."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return buffer.getvalue()


def with_method(content, method):
    """An archive whose directory says that its members are packed in another way than they are."""
    spoilt = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = -1
        while (start := spoilt.find(mark, start + 1)) >= 0:
            spoilt[start + offset] = method
    return bytes(spoilt)


SPOILT = {
    "bzip2": lambda content: recompressed(content, zipfile.ZIP_BZIP2),
    "said lzma": lambda content: with_method(content, zipfile.ZIP_LZMA),
    "said deflated": lambda content: with_method(content, zipfile.ZIP_DEFLATED),
    "method 99": lambda content: with_method(content, 99),
    "list": lambda content: content.replace(b"'shape': (", b"'shape': ["),
    "minus": lambda content: content.replace(b"'shape': (", b"'shape':-("),
    "format": lambda content: content.replace(b"NUMPY\x01", b"NUMPY\x03"),
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "no end": lambda content: content[:-30],
    "empty": lambda content: b"",
    "npy": lambda content: header((3,)) + bytes(3),
    "empty member": lambda content: archive_of(b""),
    "text": lambda content: archive_of(b"text"),
    "short": lambda content: archive_of(header((3,)) + bytes(2)),
    "vast": lambda content: archive_of(header((10**14,))),
    "bad header": lambda content: archive_of(b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((("),
    "strings": lambda content: npz({"step": np.array(["text"])}),
}


@pytest.mark.parametrize("name", [HISTORY_FILE, MASKS_FILE, SCORES_FILE, PREDICTIONS_FILE])
@pytest.mark.parametrize("change", SPOILT.values(), ids=list(SPOILT))
def test_whatever_an_archive_raises_is_a_sentence_about_it(write_run, name, change):
    run = write_run()
    content = change((run.path / name).read_bytes())
    if content != (run.path / name).read_bytes():
        replace_file(run, name, content)
        with pytest.raises(RunFormatError, match=f"{name} is not a plain archive of numbers"):
            load_run(run.path).verify()


def test_what_is_read_of_an_unknown_kind_is_a_sentence_about_it(stranger, monkeypatch):
    """Errors that nobody thought of are fenced too."""

    def broken(content):
        if stranger.run_id.encode() in content:
            raise ZeroDivisionError("nobody thought of it")
        return json.loads(content)

    monkeypatch.setattr(store, "from_json", broken)
    assert f"{RECORD_FILE} cannot be read: ZeroDivisionError: nobody thought of it." in told(stranger)


# --- files that are no files, and bombs


def put_pipe(file):
    os.mkfifo(file)


def put_link_to_zeros(file):
    file.symlink_to("/dev/zero")


def put_link_out(file):
    other = file.parents[2] / f"elsewhere-{file.name}"
    file.with_suffix(".kept").rename(other)
    file.symlink_to(other)


def put_folder(file):
    file.mkdir()


@pytest.mark.parametrize("name", [RECORD_FILE, HISTORY_FILE, MASKS_FILE, SCORES_FILE, PREDICTIONS_FILE])
@pytest.mark.parametrize("put", [put_pipe, put_link_to_zeros, put_link_out, put_folder])
def test_what_is_no_regular_file_is_named_and_not_waited_for(stranger, name, put):
    file = stranger.path / name
    file.rename(file.with_suffix(".kept"))
    put(file)
    file.with_suffix(".kept").unlink(missing_ok=True)
    assert f"{name} cannot be read (" in told(stranger)


def test_a_shared_mask_that_is_no_regular_file_is_named(stranger):
    control = make_run(stranger.path.parent, method="random")
    shutil.rmtree(stranger.path)
    control.masks_file.unlink()
    os.mkfifo(control.masks_file)
    assert ".npz cannot be read (Not a regular file)" in told(control)


@pytest.mark.parametrize("name", [RECORD_FILE, HISTORY_FILE, MASKS_FILE])
def test_a_file_is_not_read_beyond_its_limit(stranger, name):
    """Its size is looked at first: a sparse file of a terabyte costs nothing."""
    with (stranger.path / name).open("r+b") as file:
        file.truncate(2**40)
    assert "1,099,511,627,776 bytes; at most" in told(stranger)


def test_what_a_mask_unpacks_to_is_bounded_by_its_layout(stranger):
    """Sixteen megabytes of nothing, in as many kilobytes, where 32 bytes should be."""
    bomb = np.frombuffer(zlib.compress(bytes(2**24), 9), np.uint8)
    replace_file(stranger, MASKS_FILE, npz(arrays_of(stranger, MASKS_FILE) | {"0.query": bomb}))
    assert "Mask holds 33 bytes or more; expected 32 for 256 weights" in told(stranger)


@pytest.mark.parametrize("name", [HISTORY_FILE, MASKS_FILE, SCORES_FILE, PREDICTIONS_FILE])
def test_what_an_archive_unpacks_to_is_bounded_by_its_record(stranger, name):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays_of(stranger, name), more=np.zeros(2**27, np.uint8))
    replace_file(stranger, name, buffer.getvalue())
    assert "unpacks to 134," in told(stranger)


def test_what_a_member_of_an_archive_unpacks_to_is_bounded_by_the_size_it_says():
    """A gigabyte of nothing, which says that it is 4096 bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive, archive.open("step.npy", "w") as file:
        for _ in range(2**10):
            file.write(bytes(2**20))
    content = buffer.getvalue().replace((2**30).to_bytes(4, "little"), (2**12).to_bytes(4, "little"))
    tracemalloc.start()
    with pytest.raises(zipfile.BadZipFile):
        from_npz(content, 2**12)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**27


def test_a_folder_that_is_a_link_out_is_not_followed(stranger, tmp_path):
    runs = stranger.path.parent
    seen = list_runs([runs], kept_in=tmp_path / "index.sqlite")
    moved = stranger.path.rename(tmp_path / stranger.run_id)
    stranger.path.symlink_to(moved)
    assert "is a link out of its folder" in told(stranger)
    # Not by way of what was read there before it was a link either.
    for index in (list_runs([runs], seen), list_runs([runs], kept_in=tmp_path / "index.sqlite")):
        assert stranger.run_id not in index.records and "is a link out" in index.problems[0][1]


def test_a_folder_that_is_a_link_to_one_beside_it_is_read_through(stranger):
    moved = stranger.path.rename(stranger.path.parent / ".kept")
    stranger.path.symlink_to(moved)
    assert told(stranger) == ""


def test_transfers_behind_a_link_are_not_read(runs, tmp_path):
    transfer = make_transfer(runs, None, "rte")
    moved = transfer.path.parent.rename(tmp_path / "transfers")
    transfer.path.parent.symlink_to(moved)
    index = TRANSFERS.list([runs])
    assert not index.records and "is a link out of its folder" in index.problems[0][1]


def test_a_record_of_the_first_version_opens(stranger):
    """It names digests alone; nothing else is different."""

    def as_first(record):
        record["schema_version"] = 1
        record["files"] = {name: seal["sha256"] for name, seal in record["files"].items()}

    edit_record(stranger, as_first)
    assert told(stranger) == ""
    assert {seal.size for seal in load_run(stranger.path).files.values()} == {None}


def test_the_size_of_a_file_is_sealed(stranger):
    edit_record(stranger, set_in("files", HISTORY_FILE, "size", 1))
    assert "history.npz is cut off or was altered" in told(stranger)
