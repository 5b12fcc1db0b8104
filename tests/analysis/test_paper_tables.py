"""The paper's tables with measured values beside them, by hand."""

import itertools

import pandas as pd
import pytest

from smp_lab.analysis.claims import AGREES, OPEN, claims_table
from smp_lab.analysis.paper_tables import table_1, table_2, tables_3_to_5
from smp_lab.analysis.sampling import Comparison
from smp_lab.storage.published import published_ablations, published_points

NUMBER = itertools.count()


def run(method, task, value, level=0.5, **rest):
    row = {"run_id": str(next(NUMBER)), "method": method, "task": task, "value": value, "level": level, "seed": 0}
    row |= {"remaining": level, "variant": "", "metric": "accuracy", "n_examples": 277, "data_sha256": "d"}
    row |= {"base_model": "tiny", "base_model_sha256": "a", "new_parameters": 2e6, "trainable_parameters": 85e6} | rest
    return row | {"settings": f"{method} {task} {row['level']} {row['variant']} {row['base_model_sha256']}"}


def of(table, method, level):
    (row,) = table[(table["method"] == method) & (table["remaining %"] == level)].to_dict("records")
    return row


def test_table_1_has_what_was_published_and_what_was_measured():
    runs = [run("smp_s", "rte", 0.6), run("smp_s", "cola", 0.3), run("dense", "rte", 0.7, 1.0)]
    runs += [run("movement", "rte", 0.9, 0.1), run("movement", "rte", 0.5, 0.1, variant="regularizer 0")]
    runs += [run("l0", "rte", 0.4, float("nan"), remaining=0.123)]
    runs += [run("smp_s", "rte", 0.9, 0.1, variant="teacher rte-dense-r1-s0", new_parameters=4e6)]
    runs += [run("smp_s", "rte", 0.1, 0.1, variant="epochs 3, teacher rte-dense-r1-s0")]
    table = table_1(published_points(), pd.DataFrame(runs))
    assert list(table.columns) == [
        *("method", "remaining %", "MNLI Accuracy, matched / Accuracy, mismatched, published"),
        *("QQP Accuracy / F1, published", "SQuAD Exact match / F1, published"),
        *("measured by task, tiny", "mean over 1 task, tiny"),
        *("new parameters, published", "trained, published", "new parameters, tiny", "trained, tiny"),
    ]
    published = ["82.5 / 82.3", "90.8 / 87.6", "75.1 / 84.6", "-", "-", "θM", "85M", "-", "-"]
    assert list(of(table, "SMP-S", "10").values())[2:] == published
    half = ["-", "-", "-", "CoLA 30.0, RTE 60.0", "60.0", "-", "-", "2.00M", "85.00M"]
    assert list(of(table, "SMP-S", "50").values())[2:] == half
    assert list(of(table, "Dense fine-tuning", "100").values())[5:7] == ["RTE 70.0", "70.0"]
    movement = ["79.3 / 79.5", "89.1 / 85.5", "71.9 / 81.7", "RTE 50.0", "-"]
    assert list(of(table, "Movement pruning", "10").values())[2:7] == movement
    assert of(table, "L0 regularisation", "12.3")["measured by task, tiny"] == "RTE 40.0 at 12.3 %"
    taught = of(table, "SMP-S, with a teacher", "10")
    assert (taught["measured by task, tiny"], taught["new parameters, tiny"]) == ("RTE 90.0", "4.00M")
    assert taught["mean over 1 task, tiny"] == "-"
    assert not table.isna().any().any()


def test_table_1_has_what_was_measured_where_no_mask_was_learned():
    table = table_1(published_points(), pd.DataFrame([run("smp_l", "rte", 0.6, 0.1)]))
    assert of(table, "SMP-L", "10")["measured by task, tiny"] == "RTE 60.0"
    assert of(table, "SMP-L", "10")["mean over tasks, tiny"] == "-"


def test_a_part_of_squad_says_how_large_it_is():
    table = table_1(published_points(), pd.DataFrame([run("smp_s", "squad", 0.18, n_examples=220)]))
    assert of(table, "SMP-S", "50")["measured by task, tiny"] == "SQuAD 18.0 on 220 questions"


def test_table_1_has_columns_for_each_encoder_with_learned_masks():
    runs = [run("smp_s", "rte", 0.6), run("smp_s", "cola", 0.3)]
    big = {"base_model": "big", "base_model_sha256": "b"}
    runs += [run("smp_s", "rte", 0.9, 0.1, **big), run("dense", "rte", 0.8, 1.0, **big)]
    table = table_1(published_points(), pd.DataFrame(runs))
    scores = ["measured by task, tiny", "mean over 2 tasks, tiny", "measured by task, big", "mean over 1 task, big"]
    assert list(table.columns[5:9]) == scores
    assert list(of(table, "SMP-S", "10").values())[5:9] == ["-", "-", "RTE 90.0", "90.0"]


def test_table_2_has_published_and_measured_values_by_task():
    runs = [run("smp_s", "rte", value, 0.8, seed=seed) for seed, value in enumerate([0.6, 0.62])]
    runs += [run("smp_s", "rte", 0.1, 0.3), run("dense", "cola", 0.55, 1.0)]
    table = table_2(published_points(), pd.DataFrame(runs))
    assert list(table.columns[4:]) == [
        "MNLI Accuracy, matched",
        "SST-2 Accuracy",
        "MRPC Accuracy",
        "CoLA MCC",
        "QNLI Accuracy",
        "QQP Accuracy",
        "RTE Accuracy",
        "STS-B Pearson r",
    ]
    smp = ["85.0 ± 0.15", "92.9 ± 0.36", "87.0 ± 1.21", "61.5 ± 0.69", "91.5 ± 0.15", "91.4 ± 0.03", "72.3 ± 1.59"]
    rows = table.to_numpy().tolist()
    assert rows[2] == ["published", "bert-base-uncased", "SMP", "80", *smp, "89.6 ± 0.14"]
    dense = ["measured", "tiny", "Dense fine-tuning", "100", "-", "-", "-", "55.0", "-", "-", "-", "-"]
    assert rows[5:] == [dense, ["measured", "tiny", "SMP-S", "80", *["-"] * 6, "61.0 ± 1.4", "-"]]


def test_two_copies_of_a_tasks_data_have_a_value_each():
    runs = [run("dense", "rte", value, 1.0, data_sha256=data) for value, data in ((0.6, "d"), (0.7, "e"))]
    runs[1]["settings"] += " e"
    table = table_2(published_points(), pd.DataFrame(runs))
    assert table.iloc[-1]["RTE Accuracy"] == "60.0; 70.0"


def test_tables_3_to_5_have_measured_values_and_verdicts_beside_each_variant():
    runs = [
        run("smp_s", "rte", 0.8, 0.1),
        run("smp_l", "rte", 0.6, 0.1),
        run("smp_s", "rte", 0.5, 0.1, variant="head linear"),
    ]
    runs += [run("smp_t", "rte", 0.4, float("nan"), remaining=0.02), run("smp_s", "rte", 0.3, 0.1, variant="epochs 3")]
    runs += [run("smp_s", "rte", 0.79, 0.1, variant="regularizer 0")]
    runs = pd.DataFrame(runs)
    values = runs.set_index("run_id")["value"]

    def compare(a, b):
        return Comparison("accuracy", 277, values[b] - values[a], p_value=0.01 if values[b] - values[a] > 0.1 else 0.5)

    claims = claims_table(runs, compare, published_points(), published_ablations())
    table = tables_3_to_5(published_ablations(), runs, claims)
    assert len(table) == 24
    assert list(table.columns[3:]) == [
        *("MNLI Accuracy, matched, published", "SQuAD F1, published", "measured by task, tiny", "verdict, tiny")
    ]
    assert table["source"].is_monotonic_increasing
    rows = {tuple(row[1:3]): row[3:] for row in table.to_numpy().tolist()}
    assert rows["per-type share (S)", "10"] == ["82.5", "84.6", "RTE 80.0", "-"]
    assert rows["local top-k (L)", "10"] == ["82.0", "84.3", "RTE 60.0", AGREES]
    assert rows["local top-k (L)", "3"] == ["80.6", "81.0", "-", "-"]
    assert rows["head from scratch (SMP-L)", "10"] == ["81.7", "84.2", "RTE 50.0", AGREES]
    assert rows["without regulariser (SMP-L)", "10"] == ["80.1", "did not converge", "RTE 79.0", OPEN]
    assert rows["sigmoid threshold (T)", "3"] == ["did not converge", "did not converge", "RTE 40.0 at 2 %", "-"]


@pytest.mark.parametrize("make", [table_1, table_2])
def test_without_runs_what_was_published_is_left(make):
    table = make(published_points(), pd.DataFrame([run("smp_s", "rte", 0.6)]).iloc[:0])
    assert len(table) and not table.isna().any().any()
    assert not any(column.endswith("tiny") for column in table)
