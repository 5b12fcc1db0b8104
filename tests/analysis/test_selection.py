"""Which runs a page shows before anybody has chosen any."""

import numpy as np
import pandas as pd

from smp_lab.analysis.selection import all_seeds_and_controls, n_seeds_left_out, one_per_task


def runs(*rows):
    table = pd.DataFrame(rows, columns=["task", "method", "level", "seed"])
    return table.assign(run_id=[f"run{place}" for place in range(len(table))], base_model="tiny", variant="")


CORPUS = runs(
    ("cola", "dense", 1.0, 0),
    ("cola", "smp_s", 0.1, 1),
    ("cola", "smp_s", 0.1, 0),
    ("cola", "smp_s", 0.5, 0),
    ("cola", "random", 0.1, 0),
    ("cola", "random", 0.5, 0),
    ("rte", "smp_s", 0.1, 0),
    ("rte", "smp_s", 0.5, 0),
    ("rte", "random", 0.1, 0),
    ("rte", "magnitude", 0.1, 0),
    ("rte", "smp_l", 0.1, 0),
    ("rte", "smp_t", np.nan, 0),
)


def test_one_run_of_each_task_alike_in_all_else():
    assert one_per_task(CORPUS) == ["run2", "run6"]


def test_their_other_seeds_and_one_run_of_each_control():
    assert all_seeds_and_controls(CORPUS) == ["run1", "run2", "run6", "run4"]


def test_of_equally_many_tasks_and_runs_the_fewest_weights():
    assert one_per_task(CORPUS.drop(index=1)) == ["run2", "run6"]
    assert one_per_task(CORPUS.drop(index=[1, 2])) == ["run3", "run7"]


def test_one_task_more_at_another_level_does_not_move_the_first_picture():
    more = pd.concat([CORPUS, runs(("squad", "smp_s", 0.5, 0)).assign(run_id="more")], ignore_index=True)
    assert one_per_task(more) == ["run2", "run6"]
    assert one_per_task(more.drop(index=[1, 2])) == ["run3", "run7", "more"]


def test_an_ablation_and_another_encoder_stand_aside():
    table = CORPUS.copy()
    table.loc[[1, 2], "variant"] = "linear head"
    table.loc[10, "base_model"] = "larger"
    assert one_per_task(table) == ["run3", "run7"]
    assert all_seeds_and_controls(table) == ["run3", "run7", "run5"]


def test_none_without_a_learned_mask():
    table = CORPUS.loc[[0, 4, 9, 11]]
    assert one_per_task(table) == all_seeds_and_controls(table) == []
    assert one_per_task(runs()) == all_seeds_and_controls(runs()) == []


def test_of_many_seeds_the_lowest_are_shown_and_the_others_counted():
    many = runs(*((task, "smp_s", 0.1, seed) for seed in reversed(range(100)) for task in ("rte", "cola")))
    chosen = all_seeds_and_controls(many, most=6)
    shown = many[many["run_id"].isin(chosen)]
    assert shown.groupby("task")["seed"].apply(sorted).tolist() == [[0, 1, 2]] * 2
    assert n_seeds_left_out(many, chosen) == 194
    assert n_seeds_left_out(CORPUS, all_seeds_and_controls(CORPUS)) == 0
