"""The page Cost: what a task takes, and what was measured of cut forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import make_run

from smp_lab.paths import MASKS_FILE
from smp_lab.storage.measurements import KINDS, SCORE, SIZE, TIME

from .conftest import charts, measure, sentences

PAGE = "cost.py"


def costs(app):
    return app.dataframe[0].value


def test_a_lost_mask_has_no_size(open_page, write_run):
    whole, lost = write_run(), write_run(task="cola")
    (lost.path / MASKS_FILE).unlink()
    app = open_page(PAGE)
    assert f"{lost.run_id}/masks.npz cannot be read (No such file or directory)" in sentences(app.error)
    stored = costs(app).set_index("run_id")["stored"]
    assert stored[whole.run_id] > 0
    assert np.isnan(stored[lost.run_id])
    assert "the mean of" not in sentences(app.caption)


def test_costs_are_those_of_the_record(open_page, write_run):
    run = write_run(remaining=0.1)
    (row,) = costs(open_page(PAGE, run.run_id)).to_dict("records")
    assert row["trainable"] == 4096
    assert row["new"] == 128
    # 4096 of 6000 parameters are prunable.
    assert row["encoder"] == pytest.approx(run.remaining)
    assert row["model"] == pytest.approx((1904 + run.kept.sum()) / 6000)
    assert row["packed"] == 512
    assert row["stored"] == (run.path / "masks.npz").stat().st_size


def test_zeros_save_no_time_is_said_here_too(open_page, write_run):
    app = open_page(PAGE, write_run().run_id)
    assert "By itself it saves no time: zeros make no matrix product faster" in sentences(app.caption)
    assert "BERT-base at 10 % of its encoder keeps 30.2 % of the model" in sentences(app.caption)


def test_number_of_tasks_comes_from_the_address(open_page, write_run):
    run = write_run()
    app = open_page(PAGE, run.run_id, n_tasks="20")
    assert app.number_input(key="n_tasks").value == 20
    assert "20 fine-tuned models against one encoder and a mask each" in sentences(app.caption)
    assert app.metric[0].value == f"{20 * 4 * 6000 / 1e6:,.1f} MB"


def test_what_was_measured_of_cuts_is_shown_and_what_is_missing_is_named(open_page, runs):
    measured, missing = make_run(runs), make_run(runs, task="cola")
    spread = {"low": [0.6, 0.5], "high": [0.8, 0.7], "n_examples": 9, "majority": 0.5}
    scores = {"cut": [0, 10], "metric": ["accuracy"] * 2, "value": [0.7, 0.65], **spread}
    measure(runs, measured, SCORE, pd.DataFrame(scores))
    measure(runs, measured, SIZE, pd.DataFrame({"cut": [0, 10], "parameters": [5400, 3600], "published": 6000}))
    app = open_page(PAGE, measured.run_id, missing.run_id)
    table = app.dataframe[1].value
    assert table["left"].tolist() == [0.9, 0.6]
    assert table["change"].tolist() == pytest.approx([0, -0.05])
    assert len(charts(app)) == 1
    assert f"smp-lab evaluate {missing.run_id} --cut 5" in app.code[0].value
    assert "2 tasks: one encoder and 2 masks take" in sentences(app.markdown)
    until = "less than fine-tuned models from 2 tasks on, less than compact models from 2 tasks on."
    assert until in sentences(app.caption)


def test_masks_of_two_encoders_are_not_counted_as_of_one(open_page, runs):
    chosen = make_run(runs), make_run(runs, task="cola", base_model="another", base_model_sha256="b" * 64)
    app = open_page(PAGE, *(run.run_id for run in chosen))
    assert "One task on tiny-test-encoder: one encoder and 1 mask take" in sentences(app.markdown)
    assert "the mean of" not in sentences(app.caption)


def test_a_mask_over_trained_weights_shares_no_encoder(open_page, runs):
    trained = make_run(runs, method="magnitude")
    app = open_page(PAGE, trained.run_id)
    assert "None of these runs holds a mask over frozen weights." in sentences(app.markdown)
    assert not app.metric
    app = open_page(PAGE, trained.run_id, make_run(runs, task="cola").run_id)
    assert "One task: one encoder and 1 mask take" in sentences(app.markdown)
    assert "the mean of" not in sentences(app.caption)


@pytest.mark.parametrize(
    "unfit", [{"method": "magnitude"}, {"method": "random"}, {"head": "linear", "label_words": None}]
)
def test_commands_are_named_for_runs_that_they_take(open_page, runs, unfit):
    first = make_run(runs, **unfit)
    app = open_page(PAGE, first.run_id)
    assert not app.code and "What is missing" not in sentences(app.caption)
    fit = make_run(runs, task="cola")
    app = open_page(PAGE, first.run_id, fit.run_id)
    assert [code.value.split()[:3] for code in app.code] == [
        ["smp-lab", command, fit.run_id] for command in ("evaluate", "measure")
    ]


def test_times_are_shown_for_a_size_and_a_cut(open_page, runs):
    timed, missing = make_run(runs), make_run(runs, task="cola")
    spread = {"low": 0.6, "high": 0.8, "n_examples": 9, "majority": 0.5}
    scores = {"cut": [0, 5, 10], "metric": "accuracy", "value": [0.7, 0.695, 0.65], **spread}
    measure(runs, timed, SCORE, pd.DataFrame(scores))
    measure(runs, timed, SIZE, pd.DataFrame({"cut": [0, 5, 10], "parameters": [900, 700, 600], "published": 1000}))
    forms = [("masked", 0, 1.0), ("compact", 0, 1.1), ("compact", 5, 1.5), ("compact", 10, 2.0), ("csr", 0, 0.3)]
    rows = [(*form, threads, 32) for form in forms for threads in (1, 2)]
    table = pd.DataFrame(rows, columns=["form", "cut", "faster", "threads", "length"]).assign(batch=32, rounds=5)
    for name in ("milliseconds", "low", "high", "faster_low", "faster_high"):
        table[name] = table["faster"] * table["threads"]
    measure(runs, timed, TIME, table[list(KINDS[TIME])])
    app = open_page(PAGE, timed.run_id, missing.run_id, k="5")
    shown = app.dataframe[2].value
    assert shown["form"].tolist() == ["Masked weights", "Compact", "Compact, K = 5", "Sparse rows (CSR)"]
    assert shown["faster"].tolist() == [1, 1.1, 1.5, 0.3] == shown["milliseconds"].tolist()
    assert shown["change"].tolist()[2] == pytest.approx(-0.005)
    # Its record names no processor.
    assert "Measured on" not in sentences(app.caption) and "Zeros in a matrix" in sentences(app.caption)
    assert len(charts(app)) == 2
    # K = 10 loses more than a point.
    assert "Without rows of fewer than 5 weights" in sentences(app.markdown)
    assert "1.50 times as fast" in sentences(app.markdown)
    assert f"smp-lab measure {missing.run_id}" in app.code[1].value
    app.segmented_control(key="time_threads").set_value(2).run()
    assert app.dataframe[2].value["milliseconds"].tolist() == [2, 2.2, 3, 0.6]


def test_nothing_measured_is_said(open_page, runs):
    app = open_page(PAGE, make_run(runs).run_id)
    assert "No mask of these runs was measured yet" in sentences(app.info)
    assert not charts(app)
    assert not app.error
