"""Forms take turns and answer alike; no test asserts how long one takes."""

import json

import pytest
import torch
from typer.testing import CliRunner

from smp_lab.cli import commands
from smp_lab.inference import timing
from smp_lab.inference.export import Classifier, masked_encoder
from smp_lab.inference.timing import (
    BATCHES,
    CSR,
    CSR_AT,
    LENGTHS,
    MASKED,
    TimedForm,
    example_batch,
    sparse_encoder,
    time_forms,
)
from smp_lab.storage.measurements import KINDS, MEASUREMENTS, TIME
from smp_lab.training.run import train


def test_sparse_rows_answer_as_masked_weights_do(pruned):
    batch = example_batch(pruned, 3, 7)
    assert {name: tuple(each.shape) for name, each in batch.items()} == dict.fromkeys(batch, (3, 7))
    sparse = Classifier(sparse_encoder(pruned), pruned.model.head)
    torch.testing.assert_close(sparse(**batch), pruned.forward(**batch))
    dense = dict(masked_encoder(pruned).named_parameters())
    for name, _ in pruned.encoder.matrix_parameters().values():
        kept = sparse.encoder.get_submodule(name.removesuffix(".weight")).weight
        assert kept.layout is torch.sparse_csr and torch.equal(kept.to_dense(), dense[name])


def test_every_form_takes_its_turn_in_every_round(pruned, monkeypatch):
    # With one thread, and with as many as the process may use: an allocation may be a part of the machine.
    monkeypatch.setattr(timing, "usable_cores", lambda: 3)
    calls = []

    def opened(name):
        def open_form(threads):
            def model(**batch):
                calls.append((name, threads, torch.get_num_threads(), tuple(batch["input_ids"].shape)))

            return model

        return open_form

    before = torch.get_num_threads()
    forms = (TimedForm(MASKED), TimedForm("compact", 10), TimedForm(CSR))
    table = time_forms({form: opened(form.form) for form in forms}, pruned, seconds=0.0)
    assert torch.get_num_threads() == before
    assert list(table) == list(KINDS[TIME])
    sizes = {(batch, length) for length in LENGTHS for batch in BATCHES if length <= pruned.config.max_length}
    seen = {(row.form, row.threads, row.batch, row.length): row for row in table.itertuples()}
    threads = set(table["threads"])
    assert threads == {1, 3}
    assert {key for key in seen if key[0] == MASKED} == {(MASKED, each, *size) for each in threads for size in sizes}
    assert {key[2:] for key in seen if key[0] == CSR} == {(batch, length) for length, batch in [CSR_AT]}
    for (form, n_threads, *size), row in seen.items():
        # One call to warm up, and one a round, with as many threads as are told.
        assert calls.count((form, n_threads, n_threads, tuple(size))) == row.rounds + 1 == 6
        assert row.low <= row.milliseconds <= row.high and row.faster_low <= row.faster <= row.faster_high
    assert (table.loc[table["form"] == MASKED, "faster"] == 1).all()
    # Who begins changes from round to round.
    of_size = [name for name, n_threads, _, size in calls if n_threads == 1 and size == CSR_AT[::-1]]
    assert [of_size[3 * number] for number in (1, 2, 3)] == [MASKED, "compact", CSR]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("task", ["sst2", "squad"])
def test_the_command_line_times_a_run_once(prepared, tmp_path, task):
    ready = prepared(task=task, epochs=1)
    record = train(ready, tmp_path, command="smp-lab train")
    encoder = str(ready.files.folder)
    arguments = ["measure", str(record.path), "--cut", "9", "--encoder", encoder, "--seconds", "0", "--json"]
    arguments += ["--runs", str(tmp_path), "--threads", "1"]
    first, second = (json.loads(CliRunner().invoke(commands, arguments, catch_exceptions=False).stdout) for _ in "ab")
    assert first == second
    (kept,) = MEASUREMENTS.list([tmp_path]).records.values()
    assert first.keys() == {kept.measurement_id}
    assert kept.settings.kind == TIME and kept.settings.options["threads"] == [1] == list(set(kept.table["threads"]))
    assert {"masked 0", "compact 0", "compact 9", "csr 0"} <= set(kept.settings.options["forms"])
    assert set(kept.table["form"] + " " + kept.table["cut"].astype(str)) == set(kept.settings.options["forms"])
