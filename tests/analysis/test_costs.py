from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import TINY, make_run

from smp_lab.analysis.costs import (
    best_cut,
    costs,
    cut_cells,
    cut_table,
    model_remaining,
    plain_mask_bytes,
    storage_of_tasks,
    tasks_until_masks_are_smaller,
    time_table,
)
from smp_lab.analysis.sparsity import count_table
from smp_lab.layout import EncoderLayout

BERT_BASE = EncoderLayout(12, 768, 3072, 12, 109_482_240)


def test_bert_base_at_ten_percent_keeps_thirty_percent_of_the_model():
    kept = BERT_BASE.n_weights // 10
    assert model_remaining(BERT_BASE, kept) == pytest.approx(0.302, abs=0.0005)
    assert model_remaining(BERT_BASE, BERT_BASE.n_weights) == 1


def test_model_scope_is_that_of_the_sparsity_page():
    layout = EncoderLayout(2, 16, 32, 2, 6000)
    kept = np.full((2, 6), 100)
    assert count_table(kept, layout, None)["remaining"].iloc[-1] == model_remaining(layout, 1200)


def test_a_mask_of_bert_base_has_the_size_of_the_released_ones():
    assert plain_mask_bytes(BERT_BASE) == 10_616_832


def test_a_run_without_a_mask_has_no_bytes_of_one(runs):
    pruned, dense = make_run(runs), make_run(runs, method="dense", remaining=1.0)
    table = costs([pruned, dense], {pruned.run_id: "P", dense.run_id: "D"}, {pruned.run_id: 300})
    assert table["packed"].tolist() == pytest.approx([TINY.n_weights / 8, np.nan], nan_ok=True)
    assert table["stored"].tolist() == pytest.approx([300, np.nan], nan_ok=True)


def test_storage_by_hand():
    table = storage_of_tasks(BERT_BASE, 8, 5e6).set_index("way")
    model = 4 * 109_482_240
    assert table.loc["fine-tuned", "bytes"] == 8 * model
    assert table.loc["masks, one bit a weight", "bytes"] == model + 8 * 10_616_832
    assert table.loc["masks, as stored", "bytes"] == model + 8 * 5e6
    assert table.loc["fine-tuned", "times"] == 1 and "compact" not in table.index
    assert storage_of_tasks(BERT_BASE, 8, 5e6, 3e8).set_index("way").loc["compact", "bytes"] == 8 * 3e8
    assert table.loc["masks, one bit a weight", "times"] == pytest.approx(6.7, abs=0.01)
    # One task gains nothing: the mask comes on top of the model.
    assert (storage_of_tasks(BERT_BASE, 1, 5e6)["times"] <= 1).all()


def test_masks_take_less_from_a_number_of_tasks_on():
    model = 4 * BERT_BASE.n_parameters
    assert tasks_until_masks_are_smaller(BERT_BASE, 5e6, model) == 2
    # An encoder of 100, masks of 10: 4 tasks take 140, as 4 models of 35 do; 5 take 150 and not 175.
    small = EncoderLayout(1, 2, 2, 1, 25)
    assert tasks_until_masks_are_smaller(small, 10, 35) == 5
    assert tasks_until_masks_are_smaller(small, 10, 10) is None


def record(kind, mask_id="m", task="sst2", created="2026-01-01", words="terrible/great", data="d", **columns):
    options = {"label_words": words, "cuts": columns["cut"]} if kind == "score" else {}
    settings = SimpleNamespace(
        kind=kind, mask_id=mask_id, task=task, base_model_sha256="a", data_sha256=data, options=options
    )
    provenance = {"created_utc": created, "processor": "a CPU"}
    return SimpleNamespace(settings=settings, provenance=provenance, table=pd.DataFrame(columns))


def scored(values, cuts=(0, 10), **settings):
    spread = {"low": 0.6, "high": 1.0, "n_examples": 9, "majority": 0.5}
    return record("score", cut=list(cuts), metric="accuracy", value=values, **spread, **settings)


SIZED = record("size", cut=[0, 10], parameters=[90, 60], published=[100, 100])


def timed(faster, **settings):
    rows = {"form": ["masked", "compact", "compact"], "cut": [0, 0, 10], "threads": 1, "length": 32, "batch": 32}
    times = {"milliseconds": [10 / each for each in faster], "faster": faster, "faster_low": faster}
    return record("time", **rows, **times, **settings)


def test_a_score_on_another_task_hides_none_and_the_newest_counts():
    own, later = scored([0.8, 0.7]), scored([0.9], cuts=[10], created="2026-02-02")
    other = scored([0.5, 0.6], task="rte", created="2026-03-03")
    # A measurement of a mask that is not asked for is left out.
    table = cut_table([other, later, SIZED, own, scored([0.1, 0.1], mask_id="else")], {"m": "M"})
    rows = table.set_index(["task", "cut"])
    assert len(table) == 4 and set(table["run"]) == {"M, on SST-2", "M, on RTE"}
    assert rows["value"].to_dict() == {("sst2", 0): 0.8, ("sst2", 10): 0.9, ("rte", 0): 0.5, ("rte", 10): 0.6}
    assert rows.loc["sst2", "change"].tolist() == pytest.approx([0, 0.1])
    assert rows.loc["rte", "left"].tolist() == [0.9, 0.6]
    assert cut_table([own], {"m": "M"}).empty and cut_table([], {}).empty


@pytest.mark.parametrize("other", [{"words": "bad/good"}, {"data": "e"}])
def test_a_cut_is_compared_with_the_whole_mask_in_the_same_classifier_and_on_the_same_examples(other):
    first = scored([0.8, 0.7])
    later = scored([0.9], cuts=[0], created="2026-02-02", **other)
    table = cut_table([first, later, SIZED], {"m": "M"})
    assert table[["run", "cut", "value", "change"]].to_numpy().tolist() == [["M", 0, 0.9, 0.0]]
    again = scored([0.8, 0.6], created="2026-03-03")
    assert cut_table([first, later, again, SIZED], {"m": "M"})["change"].tolist() == pytest.approx([0, -0.2])


def test_times_stand_beside_what_is_left():
    table = time_table([timed([1.0, 1.0, 1.0]), SIZED, timed([1.0, 1.1, 2.0], created="2026-02-02")], {"m": "M"})
    assert table["left"].tolist() == [1, 0.9, 0.6]
    assert table["faster"].tolist() == [1, 1.1, 2]
    assert set(table["machine"]) == {"a CPU"}
    assert time_table([timed([1.0, 1.0, 1.0])], {"m": "M"})["left"].tolist() == pytest.approx(
        [1, np.nan, np.nan], nan_ok=True
    )
    assert time_table([SIZED], {"m": "M"}).empty
    # A sparse form leaves out no parameter, one in another format those of its cut.
    others = timed([1.0, 1.0, 1.0])
    others.table["form"] = ["masked", "csr", "onnx"]
    assert time_table([others, SIZED], {"m": "M"})["left"].tolist() == [1, 1, 0.6]


def test_cells_of_cuts_by_hand():
    small = record("size", mask_id="n", cut=[0, 10], parameters=[90, 50], published=[100, 100])
    labels = {"m": "M", "n": "N"}
    measured = [scored([0.8, 0.75]), SIZED, scored([0.6, 0.61], mask_id="n"), small]
    cells = cut_cells(cut_table(measured, labels), time_table([timed([1.0, 1.1, 2.0]), SIZED], labels))
    assert cells.to_dict("list") == {
        "run": ["N", "M"],
        "K = 0": ["90 %", "90 %, 1.10 x"],
        "K = 10": ["50 %, +1.0", "60 %, -5.0, 2.00 x"],
    }


@pytest.mark.parametrize(("value", "cut"), [(0.855, 10), (0.85, 10), (0.84, 0)])
def test_the_best_cut_is_the_fastest_that_loses_at_most_a_point(value, cut):
    labels = {"m": "M"}
    cuts = cut_table([scored([0.86, value]), SIZED], labels)
    times = time_table([timed([1.0, 1.1, 2.0]), SIZED], labels)
    assert best_cut(cuts, times)["cut"] == cut
    assert best_cut(cuts, times[:0]) is None
    # The best of a mask that says no more than the majority class is none.
    assert best_cut(cuts.assign(majority=cuts["low"]), times) is None
    assert best_cut(cuts, times.assign(faster_low=[1, 9, 0.5]))["cut"] == 0
