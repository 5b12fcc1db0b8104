"""Real records, changed at random: each is taken or named, and what takes one shows it. Never a traceback.

A sample runs in the gate. `pytest -m exhaustive -s` runs some thousand, and says how many, how long and with how much
memory.
"""

import hashlib
import io
import json
import os
import resource
import shutil
import signal
import time
import zipfile
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from conftest import make_run
from typer.testing import CliRunner

from smp_lab import cli
from smp_lab.analysis import run_card, sampling, scores, sparsity, training_history
from smp_lab.analysis.run_table import run_table
from smp_lab.config import RunConfig
from smp_lab.errors import SmpLabError
from smp_lab.layout import MatrixId
from smp_lab.paths import MASKS_FILE, RECORD_FILE, cached_runs_folder
from smp_lab.storage.runs import list_runs
from smp_lab.storage.sealed import own_sha256
from smp_lab.storage.transfers import TRANSFERS

MOST_BYTES = 2**30
# What hangs is waited for no longer; no mutation takes a tenth of it.
SECONDS_OF_A_HANG = 120
MUTATIONS, MUTATIONS_IN_ALL = 30, 2000

# Written into the text of a record as they stand; those in quotation marks are text there.
RAW = [
    "1e999",
    "-1e999",
    "NaN",
    "-0.0",
    "1" * 400,
    "[" * 5000,
    '"\\ud800"',
    '"\\u202e"',
    '"' + "x" * 300 + '"',
    "1e308",
]
VALUES = [None, True, -1, 0, 2, 0.5, 1e308, 2**31, 2**62, "", "x", "../x", [], {}, [[]], [1] * 1000, {"a": {"b": []}}]
TYPES = ["?", "u1", "u2", "i8", "f2", "f4", "f8", ">i4", ">f8", "S3", "M8[s]", "c8"]


def real_runs():
    """A record of each kind: two masks, a regression, a dense run and a control."""
    runs = list(list_runs([cached_runs_folder()]).records.values())
    wanted = [("rte", "smp_s"), ("stsb", "smp_s"), ("mrpc", "dense"), ("cola", "random"), ("sst2", "smp_l")]
    return [next(run for run in runs if (run.config.task, run.config.method) == pair) for pair in wanted]


RUNS = real_runs()
(TRANSFER, *_) = TRANSFERS.list([cached_runs_folder()]).records.values()


def pick(rng, options):
    return options[rng.integers(len(options))]


def places(value):
    """Every ``(container, key)`` in nested lists and objects."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def changed_json(rng, content):
    """Text of a record with one value replaced, removed or doubled; mostly sealed anew, under the id that follows."""
    container, key = pick(rng, list(places(content)))
    raw = None
    match rng.integers(5):
        case 0:
            del container[key]
        case 1 if isinstance(container, list):
            container.extend([container[key]] * int(rng.integers(1, 2000)))
        case 2 if type(container[key]) in (int, float):
            container[key] = type(container[key])(container[key] * rng.choice([-1, 0, 2, 1e6, 1e12]))
        case 3:
            raw = pick(rng, RAW)
            container[key] = "@raw@"
        case _:
            container[key] = pick(rng, VALUES)
    with suppress(SmpLabError, KeyError, TypeError):
        content["run_id"] = RunConfig.from_dict(content["config"]).run_id
    if rng.random() < 0.8:
        content["sha256"] = own_sha256(content)
    text = json.dumps(content)
    return text if raw is None else text.replace('"@raw@"', raw)


def changed_arrays(rng, content):
    """An archive with one array of another type, shape or content, or missing."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    name = pick(rng, list(arrays))
    array = arrays[name]
    match rng.integers(8):
        case 0:
            del arrays[name]
        case 1:
            arrays["extra"] = array
        case 2:
            arrays[name] = array.astype(pick(rng, TYPES[:-2] if array.dtype.kind == "b" else TYPES))
        case 3:
            arrays[name] = array[: rng.integers(len(array) + 1)] if array.ndim else array
        case 4:
            arrays[name] = pick(rng, [array[None], array.reshape(-1), array.T, np.repeat(array, 3, axis=0)])
        case 5:
            arrays[name] = rng.permutation(array)
        case 6:
            arrays[name] = np.full_like(array, pick(rng, [0, 1, 255]))
        case _:
            spoilt = array.astype("f8")
            spoilt.flat[rng.integers(max(spoilt.size, 1)) if spoilt.size else slice(0)] = pick(
                rng, [np.nan, np.inf, -np.inf, -1, 1e300]
            )
            with np.errstate(all="ignore"):
                arrays[name] = pick(rng, [spoilt, spoilt.astype(array.dtype)])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def changed_bytes(rng, content):
    """Bytes of an archive flipped, cut, doubled, inserted, or packed in another way."""
    spoilt = bytearray(content)
    at = int(rng.integers(len(spoilt)))
    match rng.integers(6):
        case 0:
            for place in rng.integers(len(spoilt), size=rng.integers(1, 20)):
                spoilt[place] = rng.integers(256)
        case 1:
            del spoilt[at:]
        case 2:
            spoilt[at:at] = rng.bytes(rng.integers(1, 500))
        case 3:
            # Lengths, names and headers lie around these marks.
            start = spoilt.find(pick(rng, [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"NUMPY", b"shape"]))
            place = min(max(start, 0) + int(rng.integers(60)), len(spoilt) - 1)
            spoilt[place] = rng.integers(256)
        case 4:
            spoilt += spoilt[at:]
        case _:
            buffer = io.BytesIO()
            method = pick(rng, [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_STORED])
            with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", method) as new:
                for entry in old.namelist():
                    new.writestr(entry, old.read(entry))
            return buffer.getvalue()
    return bytes(spoilt)


def changed_names(rng, file):
    """A file or a folder of another kind or name."""
    match rng.integers(7):
        case 0:
            file.rename(file.with_name(pick(rng, ["x", "masks.npz~", os.fsdecode(b"\xff"), "n" * 255])))
        case 1:
            file.unlink()
            os.mkfifo(file)
        case 2:
            file.unlink()
            file.symlink_to(pick(rng, ["/dev/zero", "/proc/self/mem", "nowhere", file.name, "/"]))
        case 3:
            file.unlink()
            file.mkdir()
        case 4:
            file.write_bytes(b"")
        case 5:
            with file.open("r+b") as handle:
                handle.truncate(int(rng.integers(2**40)))
        case _:
            name = pick(rng, [os.fsdecode(b"r\xff"), "a b", "\u202e", "n" * 255])
            file.parent.rename(file.parent.with_name(name))


def mutate(rng, run):
    """Change one thing in the record at `run`, and make its digests agree where that can be."""
    record = run / RECORD_FILE
    files = sorted(run.iterdir())
    kind = rng.choice(4, p=[0.5, 0.25, 0.15, 0.1])
    if kind == 3:
        return changed_names(rng, pick(rng, files))
    content = json.loads(record.read_text())
    if kind == 0:
        text = changed_json(rng, content)
        record.write_text(text)
        run_id = content.get("run_id")
        if isinstance(run_id, str) and run_id != run.name and len(run_id) < 255 and "/" not in run_id:
            run.rename(run.with_name(run_id))
        return None
    archives = [file for file in files if file != record]
    file = pick(rng, archives)
    spoilt = (changed_arrays if kind == 1 else changed_bytes)(rng, file.read_bytes())
    file.write_bytes(spoilt)
    seal = {"size": len(spoilt), "sha256": hashlib.sha256(spoilt).hexdigest()}
    content["files"][file.name] = seal if isinstance(content["files"][file.name], dict) else seal["sha256"]
    content["sha256"] = own_sha256(content)
    record.write_text(json.dumps(content))
    return None


def show(run, beside):
    """All that the pages make of a run; the errors that they turn into a sentence end nothing."""
    run_table([beside, run])
    run_card.card_markdown(run_card.run_card(run.config, run.layout, run.provenance, run.results))
    layout, task = run.layout, run.config.task_info
    views = [
        lambda: sparsity.count_table(run.kept, layout, run.config.remaining),
        lambda: sparsity.remaining_per_head(run.kept_per_head, layout),
        lambda: training_history.evaluations(run.results["evaluations"], run.main_metric),
        lambda: training_history.flips(run.history),
        lambda: training_history.progress(run.history, layout.n_weights),
        lambda: [sampling.reliability(run.predictions, task, metric) for metric in task.metrics],
    ]
    if run.has_masks:
        views.append(lambda: sparsity.block_fractions(run.masks.dense(MatrixId(0, "query"))))
    if run.has_scores:
        views.append(lambda: _score_tables(run.scores, layout))
    for view in views:
        try:
            view()
        except SmpLabError as error:
            assert str(error).encode()


def _score_tables(known, layout):
    scores.score_distribution(known.steps, known.edges, {"kept": known.kept_histogram}, layout)
    scores.score_cuts(known.steps, known.score_cut, layout)
    scores.weight_scores(known.weight_edges, known.edges, known.weight_score_histogram, layout)
    scores.similarity_to_final(known.steps, known.kept, known.kept_in_final, layout)
    scores.flips_between_snapshots(known.steps, known.flips_in, known.flips_out, layout)


@contextmanager
def no_hang():
    def ring(*_):
        raise TimeoutError(f"nothing came for {SECONDS_OF_A_HANG} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS_OF_A_HANG)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def one_mutation(number, folder):
    """Mutate a copy of a record by a seed, beside a whole one; True where the record is still taken."""
    rng = np.random.default_rng(number)
    whole = make_run(folder) if not list(folder.iterdir()) else next(iter(list_runs([folder]).records.values()))
    run = pick(rng, RUNS)
    copy = folder / run.run_id
    shutil.copytree(run.path, copy)
    if run.has_masks and not (copy / MASKS_FILE).exists():
        shutil.copy(run.masks_file, copy / MASKS_FILE)
    transfer = folder / "transfers" / TRANSFER.path.name
    transfer.parent.mkdir()
    try:
        mutate(rng, copy)
        content = json.loads(TRANSFER.path.read_text())
        transfer.write_text(changed_json(rng, content))
        with no_hang():
            index = list_runs([folder])
            assert whole.run_id in index.records
            assert len(index.records) + len(index.problems) == 2
            # Sentences can be printed and sent.
            assert all(sentence.encode() and str(path).encode() for path, sentence in index.problems)
            transfers = TRANSFERS.list([folder])
            for each in transfers.records.values():
                assert len(each.predictions) == sum(each.results["n_examples"].values())
            assert len(transfers.records) + len(transfers.problems) == 1
            for command in (["check", str(folder)], ["runs", "--folder", str(folder)]):
                result = CliRunner().invoke(cli.commands, command, catch_exceptions=False)
                assert whole.run_id in result.stdout
            taken = [each for each in index.records.values() if each.run_id != whole.run_id]
            for each in taken:
                show(each, whole)
    finally:
        for entry in folder.iterdir():
            if entry.name != whole.run_id:
                shutil.rmtree(entry)
    return bool(taken)


@pytest.mark.parametrize("number", range(MUTATIONS))
def test_a_changed_record_is_taken_or_named(tmp_path, number):
    one_mutation(number, tmp_path)


@pytest.mark.exhaustive
def test_thousands_of_changed_records_are_taken_or_named(tmp_path):
    # Of the CPU: what else the machine does is no fault of a record.
    slowest, n_taken, start = (0.0, -1), 0, time.process_time()
    for number in range(MUTATIONS_IN_ALL):
        before = time.process_time()
        try:
            n_taken += one_mutation(number, tmp_path)
        except Exception as error:
            raise AssertionError(f"mutation {number}") from error
        slowest = max(slowest, (time.process_time() - before, number))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(  # noqa: T201  # what a person asked for with -s
        f"{MUTATIONS_IN_ALL:,} mutations, {n_taken:,} still taken, {time.process_time() - start:,.0f} s of CPU, "
        f"slowest {slowest[0]:.1f} s (number {slowest[1]}), at most {peak / 1e6:,.0f} MB"
    )
    assert peak < MOST_BYTES
