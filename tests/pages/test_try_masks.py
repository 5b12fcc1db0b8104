"""The page that asks masks, with a process that answers by rule in place of the models."""

from __future__ import annotations

import importlib.util

import pandas as pd
import pytest
from conftest import make_run

from smp_lab.errors import SmpLabError
from smp_lab.paths import weights_file
from smp_lab.storage.measurements import HEADS, KINDS
from smp_lab.ui import try_masks

from .conftest import charts, measure, sentences

PAGE = "try_masks.py"


class Models:
    """Answers "positive" with 0.75, and each variant a little less than the one before."""

    memory_bytes = None

    def __init__(self):
        self.asked = []

    def ask(self, call, **arguments):
        self.asked.append((call, arguments))
        if call == "answers":
            one = {"label": "positive", "prediction": 1, "probabilities": {"terrible": 0.25, "great": 0.75}}
            answers = [{**one, "n_tokens": 4, "cut": False} for _ in arguments["masks"]]
            return {"answers": answers, "encoder_bytes": 1000}
        if call == "examples":
            raise SmpLabError("No GLUE folder is named.")
        tokens = ["[CLS]", "a", "film", "[SEP]"]
        n = 1 + len(tokens) if arguments["variants"] is None else len(arguments["variants"])
        return {"outcomes": [[0.25 + 0.001 * place, 0.75 - 0.001 * place] for place in range(n)], "tokens": tokens}


@pytest.fixture
def models(monkeypatch):
    made = Models()
    monkeypatch.setattr(try_masks, "models", lambda: made)
    return made


@pytest.fixture
def three(runs):
    two = [make_run(runs, task="sst2", seed=seed, mask_seed=seed, accuracy=0.6 + seed / 10) for seed in (0, 1)]
    return [*two, make_run(runs, task="rte")]


def test_every_mask_answers_and_parts_are_shown(open_page, three, models):
    app = open_page(PAGE, *(run.run_id for run in three))
    table = app.dataframe[0].value
    assert len(table) == 3 and set(table["answer"]) == {"positive"}
    assert ", ".join(f"{name} says positive" for name in table["mask"]) in sentences(app.markdown)
    assert len(charts(app)) == 3
    assert "3 masks of" in sentences(app.caption)
    assert not app.error and not app.warning


def test_others_stand_beside_each_mask(open_page, three, models):
    app = open_page(PAGE, three[0].run_id, try_beside=["none", "random"])
    assert [kind for _, kind in models.asked[0][1]["masks"]] == ["mask", "none", "random"]
    assert [name.rpartition(", ")[2] for name in app.dataframe[0].value["mask"]][1:] == [
        "no mask",
        "a random mask as large",
    ]


def test_fine_tuned_weights_stand_beside_where_they_are_kept(open_page, runs, three, models):
    dense = make_run(runs, task="sst2", method="dense", remaining=1.0)
    app = open_page(PAGE, three[0].run_id, try_beside=["dense"])
    assert [kind for _, kind in models.asked[0][1]["masks"]] == ["mask"]
    command = f"smp-lab train --task sst2 --method dense --encoder {dense.config.base_model} --runs {runs}"
    assert app.code[0].value == command
    file = weights_file(runs, dense.run_id)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    models.asked.clear()
    app = open_page(PAGE, three[0].run_id, try_beside=["dense"])
    assert models.asked[0][1]["masks"] == [(str(three[0].path), "mask"), (str(dense.path), "dense")]
    assert app.dataframe[0].value["mask"][1].endswith(", fine-tuned weights")


def test_two_runs_of_a_task_disagree_and_texts_that_are_not_here_are_said(open_page, three, models):
    app = open_page(PAGE, *(run.run_id for run in three))
    assert "They disagree on" in sentences(app.markdown)
    assert len(app.dataframe) == 3 and app.dataframe[1].value["examples"].sum() == len(app.dataframe[2].value)
    assert "No GLUE folder is named" in sentences(app.caption)


def test_masks_that_cannot_answer_say_why_and_are_asked_no_more(open_page, three, models, monkeypatch):
    sentence = "Encoder 'tiny' is not here."
    said = {"answers": [sentence] * 3, "encoder_bytes": 0}
    monkeypatch.setattr(models, "ask", lambda call, **_: {"answers": said}[call])
    app = open_page(PAGE, *(run.run_id for run in three))
    assert set(app.dataframe[0].value["problem"]) == {sentence}
    assert not charts(app) and not app.error


def test_a_run_whose_masks_are_gone_says_so_and_the_others_answer(open_page, three, models):
    (three[0].path / "masks.npz").unlink()
    app = open_page(PAGE, *(run.run_id for run in three))
    assert len(app.dataframe[0].value) == 2
    assert three[0].run_id in sentences(app.error)


def test_what_is_out_of_another_encoders_mask_is_no_part_of_this_one(open_page, three, models):
    app = open_page(PAGE, three[0].run_id)
    app.session_state["try_out"] = [(1, 0), (11, 3), (11, "query")]
    app.run()
    assert models.asked[-1][1]["variants"][1] == {"heads": [(1, 0)], "matrices": []}


def test_masks_of_one_encoder_are_asked_one_after_the_other(open_page, runs, three, models):
    other = make_run(runs, task="cola", base_model="another", base_model_sha256="b" * 64)
    app = open_page(PAGE, three[0].run_id, other.run_id, three[2].run_id)
    folders = [folder for folder, _ in models.asked[0][1]["masks"]]
    assert folders == [str(run.path) for run in (three[0], three[2], other)]
    assert "One encoder in memory, the last of several" in sentences(app.caption)


def test_no_text_asks_nothing(open_page, three, models):
    app = open_page(PAGE, three[0].run_id)
    n_asked = len(models.asked)
    app.text_area(key="try_text").set_value("  ").run()
    assert "Type a text" in sentences(app.info)
    assert len(models.asked) == n_asked


@pytest.mark.parametrize("box", ["try_text", "try_second"])
def test_a_text_that_would_hold_the_model_is_not_asked(open_page, three, models, box):
    app = open_page(PAGE, *(run.run_id for run in three))
    asked = len(models.asked)
    app.text_area(key=box).set_value("a" * 100_008).run()
    assert len(models.asked) == asked
    assert "and this one has 100,008. Leave out the rest." in sentences(app.info)


def test_what_was_asked_before_stands_below_the_last_first(open_page, three, models):
    app = open_page(PAGE, three[0].run_id)
    first, second = app.text_area(key="try_text").value, "A dull film."
    assert not app.text
    for text, before in ((second, [first]), ("So so.", [second, first]), (first, ["So so.", second])):
        app.text_area(key="try_text").set_value(text).run()
        assert [each.value.partition("\n")[0].partition(" |")[0] for each in app.text] == before


def test_runs_without_a_mask_of_label_words_are_said(open_page, runs, models):
    run = make_run(runs, method="dense", remaining=1.0)
    assert "None of these runs has a mask" in sentences(open_page(PAGE, run.run_id).info)
    assert not models.asked


def test_heads_on_the_development_set_are_those_that_were_measured(open_page, runs, three, models):
    measured, missing, _ = three
    heads = [(layer, head) for layer in range(2) for head in range(2)]
    spread = {"low": [-0.2, -0.1, 0.0, 0.01], "high": [-0.1, 0.1, 0.0, 0.02], "n_examples": 9}
    table = pd.DataFrame(heads, columns=["layer", "head"]).assign(
        metric="accuracy", value=0.5, change=[-0.15, 0.0, 0.0, 0.015], **spread
    )
    measure(runs, measured, HEADS, table[list(KINDS[HEADS])])
    app = open_page(PAGE, measured.run_id, missing.run_id)
    assert "Of 4 heads, emptied one at a time, **1** lowers the metric" in sentences(app.markdown)
    assert "of 9 examples, and 1 raises it by as much" in sentences(app.markdown)
    assert f"smp-lab evaluate {missing.run_id} --heads" in app.code[0].value
    assert len(charts(app)) == 4
    # A control is for no task, so that the command would refuse it.
    control = make_run(runs, task="sst2", method="random")
    app = open_page(PAGE, control.run_id, measured.run_id)
    assert not app.code and "Not measured yet" not in sentences(app.caption)


def test_without_the_packages_the_command_that_brings_them_is_shown(open_page, three, models, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name, *rest))
    app = open_page(PAGE)
    assert "not installed" in sentences(app.warning)
    assert "pip install" in app.code[0].value
