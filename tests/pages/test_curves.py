"""The curves page in every state that its runs can be in."""

from __future__ import annotations

import pytest
from conftest import make_run

from smp_lab.paths import PREDICTIONS_FILE, pages_folder
from smp_lab.ui import curve_sections

from .conftest import charts, figures, sentences

PAGE = "curves.py"

DENSE = {
    "method": "dense",
    "remaining": 1.0,
    "schedule": None,
    "schedule_fraction": None,
    "score_learning_rate": None,
    "weight_learning_rate": 3e-5,
}


def names(app):
    return {trace["name"] for trace in figures(app)[0]["data"]}


def spread(app):
    return app.dataframe[0].value


def test_one_run_stands_beside_published_numbers_of_another_encoder(open_page, write_run):
    run = write_run()
    app = open_page(PAGE, run.run_id)
    assert not app.error
    assert not app.warning
    (chart,) = charts(app)
    assert chart.proto.alt.endswith(".")
    assert "SMP-S" in names(app)
    assert "SMP, bert-base-uncased, published" in names(app)
    assert "No two of the runs share a task" in sentences(app.caption)


def test_all_runs_are_shown_where_none_is_chosen(open_page, runs):
    for seed in range(6):
        make_run(runs, seed=seed)
    app = open_page(PAGE)
    assert "all 6 are available" in sentences(app.caption)
    assert spread(app)["n_seeds"].tolist() == [6]


def test_altered_predictions_spoil_their_own_run_alone(open_page, write_run):
    write_run()
    broken = write_run(task="cola")
    (broken.path / PREDICTIONS_FILE).write_bytes(b"PK")
    app = open_page(PAGE)
    assert "predictions.npz is cut off or was altered" in sentences(app.error)
    assert spread(app)["task"].tolist() == ["RTE"]


def test_altered_predictions_end_no_other_part_of_the_page(open_page, write_run):
    broken, whole = write_run(), write_run(method="magnitude")
    (broken.path / PREDICTIONS_FILE).write_bytes(b"PK")
    app = open_page(PAGE, broken.run_id, whole.run_id, task="no-such-task")
    app.session_state["claims"] = True
    app.run()
    assert app.expander[-1].label == "Tables 1 to 5 and 7 of the paper"
    # One for the figure, one for the pair, one for the claims.
    assert sentences(app.error).count("predictions.npz is cut off or was altered") == 3


def test_three_spreads_are_named_apart(open_page, runs):
    make_run(runs, accuracy=0.6)
    make_run(runs, accuracy=0.7, seed=1)
    app = open_page(PAGE)
    words = sentences(app.markdown)
    for name in ("Over seeds", "Dev set", "Paired"):
        assert f"**{name}**" in words
    (row,) = spread(app).to_dict("records")
    assert row["mean"] == pytest.approx(0.65)
    assert row["sd"] == pytest.approx(0.1 / 2**0.5)
    assert row["n_examples"] == 40
    # Wilson's half widths at 24 and 28 of 40.
    assert row["sampling"] == pytest.approx(0.14, abs=0.005)


def test_runs_that_differ_by_little_are_not_distinguishable(open_page, runs):
    a, b = make_run(runs, accuracy=0.6), make_run(runs, accuracy=0.65, seed=1)
    app = open_page(PAGE, a.run_id, b.run_id)
    text = sentences(app.markdown)
    assert "**not distinguishable**" in text
    assert "**+5.0** points of Accuracy on 40 examples" in text
    assert "2 examples are right in one of the two alone, 2 of them in b" in text
    assert "p = 0.5" in text
    assert app.dataframe[1].value.to_numpy().tolist() == [["a right", 24, 0], ["a wrong", 2, 14]]


def test_runs_that_differ_by_far_are_distinguishable(open_page, runs):
    a, b = make_run(runs, accuracy=0.5), make_run(runs, accuracy=0.9, seed=1)
    text = sentences(open_page(PAGE, a.run_id, b.run_id).markdown)
    assert "are **distinguishable**" in text


def test_matthews_correlation_is_compared_by_paired_resamples(open_page, runs):
    a, b = make_run(runs, task="cola", accuracy=0.6), make_run(runs, task="cola", accuracy=0.9, seed=1)
    text = sentences(open_page(PAGE, a.run_id, b.run_id).markdown)
    assert "points of MCC" in text
    assert "paired bootstrap" in text


def test_a_pair_is_compared_by_every_metric_of_its_task(open_page, runs):
    make_run(runs, task="mrpc", accuracy=0.8)
    make_run(runs, task="mrpc", accuracy=0.6, seed=1)
    said = sentences(open_page(PAGE).markdown)
    assert "points of Accuracy on 40 examples" in said and "By F1: The two runs are" in said


def test_a_run_is_compared_with_another_method_first(open_page, runs):
    fine_tuning = {"method": "dense", "remaining": 1.0}
    dense, again, mask = make_run(runs, **fine_tuning), make_run(runs, **fine_tuning, seed=1), make_run(runs)
    app = open_page(PAGE, dense.run_id, again.run_id, mask.run_id)
    assert [app.selectbox(key=key).value for key in ("compared", "compared_with")] == [dense.run_id, mask.run_id]


def test_a_run_is_compared_with_one_of_its_encoder_first(open_page, runs):
    mask, again = make_run(runs), make_run(runs, seed=1)
    other = make_run(runs, method="dense", remaining=1.0, base_model="another", base_model_sha256="b" * 64)
    app = open_page(PAGE, mask.run_id, other.run_id, again.run_id)
    assert [app.selectbox(key=key).value for key in ("compared", "compared_with")] == [mask.run_id, again.run_id]


def test_a_pair_of_masks_is_no_pair_of_examples(open_page, runs):
    """Two tasks can be compared on the overlap page, and not here."""
    rte, again, cola = make_run(runs), make_run(runs, seed=1, mask_seed=1), make_run(runs, task="cola", mask_seed=2)
    app = open_page("overlap.py", pair_a=cola.run_id, pair_b=again.run_id)
    app.switch_page(str(pages_folder() / PAGE)).run()
    assert not app.exception
    assert {app.selectbox(key=key).value for key in ("compared", "compared_with")} == {rte.run_id, again.run_id}
    assert "distinguishable" in sentences(app.markdown)


def test_runs_on_other_data_are_not_paired(open_page, runs):
    a, b = make_run(runs), make_run(runs, data_sha256="c" * 64)
    app = open_page(PAGE, a.run_id, b.run_id)
    assert "their examples may not be the same" in sentences(app.warning)
    assert "distinguishable" not in sentences(app.markdown)


def test_difference_to_dense_needs_a_dense_run(open_page, write_run):
    run = write_run()
    app = open_page(PAGE, run.run_id, quantity="difference to dense")
    assert "only published differences can be drawn" in sentences(app.info)
    # The line at 0 is what differences are to.
    assert names(app) == {"RTE, published", "Dense fine-tuning"}


def test_difference_to_dense(open_page, runs):
    make_run(runs, accuracy=0.7, **DENSE)
    make_run(runs, accuracy=0.65)
    app = open_page(PAGE, quantity="difference to dense", published="tables")
    (figure,) = figures(app)
    (line,) = [trace for trace in figure["data"] if trace["name"] == "RTE · SMP-S" and trace["mode"] == "lines"]
    assert "difference" in figure["layout"]["yaxis"]["title"]["text"].lower()
    assert len(line["y"]) or line["y"]["bdata"]


def test_a_task_that_was_published_alone(open_page, write_run):
    write_run()
    app = open_page(PAGE, task="MNLI")
    assert all("published" in name for name in names(app))
    assert any("SMP-S" in name for name in names(app))


def test_another_metric_of_a_task(open_page, runs):
    make_run(runs, task="mrpc", accuracy=0.8)
    app = open_page(PAGE, task="MRPC", metric="F1")
    assert figures(app)[0]["layout"]["yaxis"]["title"]["text"] == "F1 (x 100)"
    assert spread(app)["metric"].tolist() == ["F1"]


def test_more_runs_than_have_intervals_still_have_the_metric_that_is_asked_for(open_page, runs, monkeypatch):
    run = make_run(runs, task="mrpc", accuracy=0.8)
    monkeypatch.setattr(curve_sections, "_MOST_INTERVALS", 0)
    found = spread(open_page(PAGE, task="MRPC", metric="F1"))
    assert found["metric"].tolist() == ["F1"]
    assert found["mean"].tolist() == [run.results["metrics"]["f1"]]


def test_a_dense_run_alone_has_no_mask_to_store(open_page, runs):
    app = open_page(PAGE, make_run(runs, **DENSE).run_id)
    assert not app.metric
    assert "Dense fine-tuning" in names(app)


def test_main_methods_of_usual_settings_are_drawn_where_no_run_is_chosen(open_page, runs):
    make_run(runs), make_run(runs, seed=1), make_run(runs, regularizer=0.0)
    local = make_run(runs, method="smp_l")
    app = open_page(PAGE, published=[])
    assert spread(app)["name"].tolist() == ["SMP-S"]
    assert set(spread(open_page(PAGE, methods=["smp_l"], published=[]))["name"]) == {"SMP-L"}
    assert set(spread(open_page(PAGE, published=[], unusual="true"))["name"]) == {"SMP-S", "SMP-S, regularizer 0"}
    assert spread(open_page(PAGE, local.run_id, published=[]))["name"].tolist() == ["SMP-L"]


def test_a_run_of_unusual_settings_is_drawn_once_it_is_chosen(open_page, runs):
    make_run(runs), make_run(runs, seed=1)
    unusual = make_run(runs, regularizer=0.0)
    app = open_page(PAGE, published=[])
    assert spread(app)["name"].tolist() == ["SMP-S"]
    app.multiselect(key="runs").set_value([unusual.run_id])
    assert spread(app.run())["name"].tolist() == ["SMP-S, regularizer 0"]


def test_what_is_shown_is_a_table_for_a_paper(open_page, write_run):
    write_run(accuracy=0.6)
    markdown, latex = open_page(PAGE).expander[0].code
    assert "| SMP-S | 50 | 60.0 ± " in markdown.value
    assert r"SMP-S & 50 & 60.0 $\pm$ " in latex.value
    assert "1 run. Encoder" in latex.value and "tiny-test-encoder" in latex.value


def test_the_papers_tables_are_made_when_they_are_opened(open_page, write_run):
    app = open_page(PAGE, write_run().run_id, write_run(remaining=0.1).run_id)
    app.session_state["published_tables"] = True
    app.run()
    (part,) = (part for part in app.expander if part.label == "Tables 1 to 5 and 7 of the paper")
    first, second, ablations = (table.value for table in part.dataframe)
    assert "SMP-S, with a teacher" in set(first["method"])
    assert set(second["encoder"]) == {"bert-base-uncased", "roberta-base", "tiny-test-encoder"}
    assert len(ablations) == 24 and "measured by task, tiny-test-encoder" in ablations


def test_either_the_last_or_the_best_evaluation_is_drawn(open_page, runs):
    make_run(runs, accuracy=0.6)
    app = open_page(PAGE)
    assert "error_y" in str(figures(app)[0]["data"])
    app = open_page(PAGE, evaluation="best at the final density")
    assert not app.exception and not app.error
    assert "SMP-S" in names(app)


def test_claims_are_made_when_they_are_opened(open_page, write_run):
    chosen = [write_run().run_id, write_run(method="magnitude").run_id]
    app = open_page(PAGE, *chosen)
    tables = len(app.dataframe)
    app.session_state["claims"] = True
    app.run()
    assert not app.exception
    assert len(app.dataframe) == tables + 1
    (claims,) = (table.value for table in app.dataframe if "claim" in table.value)
    assert (claims.loc[claims["encoder"] == "tiny-test-encoder", "remaining %"] == "50").any()


def test_the_answer_is_about_the_task_that_is_shown(open_page, write_run):
    write_run(accuracy=0.6)
    write_run(accuracy=0.8, task="sst2", label_words=("terrible", "great"))
    app = open_page(PAGE)
    assert "a mean of 70.0 over 2 tasks" in sentences(app.markdown)
    app.selectbox(key="task").set_value("sst2").run()
    assert "none of them trained: 80.0 on SST-2." in sentences(app.markdown)
    assert "The values are of" not in sentences(app.markdown)


def test_the_answer_is_about_the_metric_and_the_evaluation_that_are_shown(open_page, runs):
    f1 = make_run(runs, task="mrpc", accuracy=0.8).results["metrics"]["f1"]
    app = open_page(PAGE, task="MRPC", metric="F1", evaluation="best at the final density")
    assert f": {100 * f1:.1f} on MRPC." in sentences(app.markdown)
    said = "The values are of F1. The values are of the best evaluation at the final density."
    assert said in sentences(app.markdown)
