"""Every page with no runs, one run, two tasks and a broken run: sentences, never a traceback."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from conftest import TINY, make_run

from smp_lab.analysis.sparsity import spread_over_heads
from smp_lab.layout import HEAD_TYPES
from smp_lab.paths import (
    HISTORY_FILE,
    IMPORTED_FOLDER,
    MASKS_FILE,
    RECORD_FILE,
    TRANSFERS_FOLDER,
    jobs_folder,
    pages_folder,
    unfinished_folder,
)
from smp_lab.ui import cache, controls

from .conftest import charts, figures, sentences

PAGES = ("overview.py", "sparsity.py", "history.py")
CHARTS = {"overview.py": 1, "sparsity.py": 3, "history.py": 5}


@pytest.mark.parametrize("page", [*PAGES, "cost.py", "curves.py", "overlap.py", "scores.py"])
def test_no_runs_say_how_to_train_one(open_page, runs, page):
    (runs / "not-a-run").mkdir()
    app = open_page(page)
    assert "no runs yet" in sentences(app.info)
    assert "smp-lab train" in app.code[0].value
    assert not charts(app)
    assert not app.error


@pytest.mark.parametrize("page", PAGES)
def test_one_run(open_page, write_run, page):
    run = write_run()
    app = open_page(page, run.run_id)
    assert len(charts(app)) == CHARTS[page]
    assert not app.error
    assert not app.warning


@pytest.mark.parametrize("page", PAGES)
def test_two_tasks_none_chosen(open_page, write_run, page):
    write_run()
    write_run(task="cola", seed=1)
    app = open_page(page)
    assert len(charts(app)) == CHARTS[page]
    if page != "overview.py":
        assert "all 2 are shown" in sentences(app.caption)


def test_of_many_runs_those_are_shown_that_differ_in_what_the_page_compares(open_page, write_run):
    for task in ("rte", "cola"):
        for remaining in (0.5, 0.1):
            for seed in (0, 1):
                write_run(task=task, remaining=remaining, seed=seed)
    app = open_page("sparsity.py")
    assert "2 of 8 are shown, one of each task, of one method and level." in sentences(app.caption)
    assert {key for key in app.dataframe[0].value["run"]} == {"CoLA · SMP-S · 10 %", "RTE · SMP-S · 10 %"}


def test_runs_that_nobody_chose_are_said_to_be_of_one_encoder_where_there_are_two(open_page, write_run):
    for task in ("rte", "cola"):
        for encoder in ("a", "b", "c"):
            write_run(task=task, base_model=encoder, base_model_sha256=64 * encoder)
    app = open_page("sparsity.py")
    assert "2 of 6 are shown, of a, one of each task, of one method and level." in sentences(app.caption)


@pytest.mark.parametrize(
    ("page", "n_charts"), [*CHARTS.items(), ("cost.py", 0), ("curves.py", 1), ("overlap.py", 5), ("scores.py", 1)]
)
def test_a_broken_run_and_an_unknown_one_beside_whole_ones(open_page, write_run, page, n_charts):
    whole, broken = [write_run(seed=seed, mask_seed=seed) for seed in (0, 1)], write_run(task="cola")
    (broken.path / RECORD_FILE).write_text('{"schema_version": 1')
    app = open_page(page, "no-such-run", *(run.run_id for run in whole))
    assert len(charts(app)) == n_charts
    assert "There is no run 'no-such-run' here" in sentences(app.warning)
    if page == "overview.py":
        assert "1 folder could not be read as a run" in app.expander[-1].label
        assert "cut off" in sentences(app.expander[-1].text)


@pytest.mark.parametrize("page", sorted(file.name for file in pages_folder().glob("*.py")))
def test_folders_of_strangers_beside_a_whole_run(open_page, write_run, runs, tmp_path, page):
    """Names that are not UTF-8, a number that is none, a pipe, a link: each used to end every page, or to hang it."""
    whole, broken, pipe, away = (write_run(task=task) for task in ("rte", "cola", "sst2", "mrpc"))
    (runs / os.fsdecode(b"r\xffn")).mkdir()
    text = (broken.path / RECORD_FILE).read_text()
    (broken.path / RECORD_FILE).write_text(text.replace('"wall_seconds": 12.5', '"wall_seconds": 1e999'))
    (pipe.path / RECORD_FILE).unlink()
    os.mkfifo(pipe.path / RECORD_FILE)
    away.path.symlink_to(away.path.rename(tmp_path / away.run_id))
    for place in (jobs_folder(runs), runs / TRANSFERS_FOLDER, runs / IMPORTED_FOLDER, unfinished_folder(runs, "x")):
        place.mkdir(parents=True)
        os.mkfifo(place / "pipe.json")
        (place / os.fsdecode(b"r\xffn")).write_bytes(b"\xff")
    app = open_page(page, whole.run_id)
    assert app.title
    if page in CHARTS:
        assert len(charts(app)) == CHARTS[page]
    if page == "overview.py":
        assert sum("could not be read as" in expander.label for expander in app.expander) == 1


def test_altered_history_spoils_its_own_run_alone(open_page, write_run):
    whole, broken = write_run(), write_run(task="cola")
    (broken.path / HISTORY_FILE).write_bytes(b"PK")
    app = open_page("history.py", whole.run_id, broken.run_id)
    assert "history.npz is cut off or was altered" in sentences(app.error)
    assert len(charts(app)) == CHARTS["history.py"]


def test_an_altered_history_alone_is_a_sentence(open_page, write_run):
    broken = write_run()
    (broken.path / HISTORY_FILE).write_bytes(b"PK")
    app = open_page("history.py", broken.run_id)
    assert "history.npz is cut off or was altered" in sentences(app.error)
    assert not app.exception and not charts(app)


def test_altered_mask_leaves_the_counts(open_page, write_run):
    run = write_run()
    (run.path / MASKS_FILE).write_bytes(b"PK")
    # A mask that was read under its digest is not read again.
    cache.masks.clear()
    app = open_page("sparsity.py", run.run_id)
    assert "masks.npz is cut off or was altered" in sentences(app.error)
    assert len(charts(app)) == 2
    assert app.dataframe


def test_two_masks_stand_side_by_side_on_one_scale(open_page, write_run):
    half, tenth = write_run(remaining=0.5), write_run(task="cola", remaining=0.1)
    app = open_page("sparsity.py", half.run_id, tenth.run_id, matrix_beside=tenth.run_id, matrix="output", layer="1")
    ours, theirs = (figure["layout"] for figure in figures(app)[2:])
    assert ours["coloraxis"]["cmax"] == theirs["coloraxis"]["cmax"] == 100
    for layout, name in ((ours, "RTE"), (theirs, "CoLA")):
        assert layout["title"]["subtitle"]["text"].startswith(name)
        assert "layer 1 output" in layout["title"]["subtitle"]["text"]
    assert sum(button.label.startswith("Whole mask") for button in app.get("download_button")) == 2
    app.selectbox(key="matrix_beside").set_value("none").run()
    assert len(charts(app)) == CHARTS["sparsity.py"]


def test_the_spread_over_heads_is_told_with_and_without_the_regulariser(open_page, write_run):
    usual, plain = write_run(), write_run(regularizer=0.0)
    write_run(seed=1)
    told = sentences(open_page("sparsity.py", usual.run_id).caption)
    spread = [f"{100 * spread_over_heads(run.kept_per_head, run.layout, HEAD_TYPES):.1f}" for run in (usual, plain)]
    assert f"Spread over heads, in points: RTE · SMP-S · 50 % {spread[0]}. Published: 12.4 with" in told
    assert f"Here, RTE · SMP-S · 50 % · seed 0: {spread[0]} with it, {spread[1]} without." in told


def test_a_run_that_vanished(open_page, write_run):
    run = write_run()
    app = open_page("sparsity.py", run.run_id)
    shutil.rmtree(run.path)
    app.run()
    assert not app.exception
    assert "no runs yet" in sentences(app.info)


def test_a_new_run_is_seen(open_page, write_run):
    write_run()
    app = open_page("overview.py")
    assert len(app.dataframe[0].value) == 1
    write_run(seed=1)
    app.run()
    assert len(app.dataframe[0].value) == 2


def test_a_folder_that_cannot_be_read_is_listed(open_page, write_run, runs, monkeypatch):
    write_run()
    app = open_page("overview.py")
    assert not [each for each in app.expander if "could not be read" in each.label]
    read = os.scandir

    def scandir(folder):
        if folder == str(runs):
            raise PermissionError(13, "Permission denied")
        return read(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    app.run()
    assert not app.exception
    (told,) = [each for each in app.expander if "could not be read" in each.label]
    assert "cannot be read (Permission denied)" in sentences(told.text)


def test_table_holds_the_facts_of_a_run(open_page, write_run, cached):
    write_run(accuracy=0.61)
    make_run(cached, task="toy-sentiment", label_words=("terrible", "great"), remaining=0.1)
    table = open_page("overview.py").dataframe[0].value.set_index("task")
    own, toy = table.loc["RTE"], table.loc["Toy sentiment (synthetic)"]
    assert (own["level"], own["remaining"]) == (0.5, 0.5)
    assert (own["metric"], own["n_examples"], own["base_model"]) == ("Accuracy", 40, "tiny-test-encoder")
    assert own["value"] == pytest.approx(0.61)
    assert own["source"] == "measured, own"
    assert toy["source"] == "measured, cached"


def test_run_card_follows_the_choice(open_page, write_run):
    rte, cola = write_run(), write_run(task="cola")
    app = open_page("overview.py", rte.run_id)
    card = app.expander[0]
    assert rte.run_id in sentences(card.markdown)
    assert "smp-lab train --task rte" in card.code[0].value
    assert [button.label for button in app.expander[0].get("download_button")] == ["Card (Markdown)", "Card (JSON)"]
    app.multiselect(key="runs").set_value([rte.run_id, cola.run_id]).run()
    app.selectbox(key="card").set_value(cola.run_id).run()
    assert cola.run_id in sentences(app.expander[1].markdown)
    app.multiselect(key="runs").set_value([rte.run_id]).run()
    assert not app.exception
    assert rte.run_id in sentences(app.expander[0].markdown)


def test_link_opens_the_card_of_a_run(open_page, write_run):
    rte, cola = write_run(), write_run(task="cola")
    cards = [open_page("overview.py", card=run.run_id).expander[0] for run in (rte, cola)]
    for card, run in zip(cards, (rte, cola), strict=True):
        assert run.run_id in sentences(card.markdown)
        assert card.selectbox[0].options == ["CoLA · SMP-S · 50 %", "RTE · SMP-S · 50 %"]
    assert all(card.proto.expanded for card in cards)
    assert not open_page("overview.py").expander[0].proto.expanded


def test_filters_hide_rows_and_keep_the_choice(open_page, write_run):
    rte, cola = write_run(), write_run(task="cola")
    app = open_page("overview.py", rte.run_id, cola.run_id)
    app.multiselect(key="filter_task").set_value(["cola"]).run()
    assert app.dataframe[0].value["run_id"].tolist() == [cola.run_id]
    assert app.multiselect(key="runs").value == [rte.run_id, cola.run_id]


def test_question_is_answered_from_the_records(open_page, write_run):
    write_run(accuracy=0.7, remaining=0.5)
    write_run(accuracy=0.65, remaining=0.1)
    app = open_page("overview.py")
    assert "**Half of the weights, none of them trained: 70.0 on RTE.**" in sentences(app.markdown)
    assert "It saves storage, not time" in sentences(app.caption)


def test_runs_are_searched_by_the_words_of_their_labels(open_page, write_run):
    rte, cola = write_run(), write_run(task="cola")
    app = open_page("overview.py", search="cola")
    assert app.dataframe[0].value["run_id"].tolist() == [cola.run_id]
    app.text_input(key="search").set_value("50 %").run()
    assert set(app.dataframe[0].value["run_id"]) == {rte.run_id, cola.run_id}


def test_differences_between_chosen_runs_are_a_table(open_page, write_run):
    a, b = write_run(), write_run(epochs=9)
    app = open_page("overview.py", a.run_id, b.run_id)
    (table,) = [found.value for found in app.dataframe if "setting" in found.value]
    assert table["setting"].tolist() == ["epochs"]


def test_a_mask_of_no_weight_ends_no_page(open_page, write_run):
    # Of matrices of 256 weights and more.
    nothing = write_run(remaining=0.0005)
    assert nothing.kept.sum() == 0
    assert len(charts(open_page("overview.py"))) == 1
    write_run()
    assert len(charts(open_page("overview.py"))) == 1


def test_a_report_is_of_what_is_here(open_page, write_run, monkeypatch):
    made = {}
    monkeypatch.setattr(controls, "download", lambda label, make, *_, key, **__: made.update({key: make}))
    run = write_run()
    for chosen in ([run.run_id, "no-such-run"], ["no-such-run"], []):
        open_page("overview.py", *chosen)
        assert run.run_id in made["report"]()


def test_choice_in_the_sidebar_reaches_the_page(open_page, write_run):
    rte, cola = write_run(), write_run(task="cola")
    app = open_page("history.py", rte.run_id)
    app.multiselect(key="runs").set_value([cola.run_id]).run()
    assert "CoLA" in charts(app)[0].proto.spec
    assert "RTE" not in charts(app)[0].proto.spec


def test_empty_lines_are_counted(open_page, runs):
    from smp_lab.masks import MaskSet

    dense = {matrix: np.ones(TINY.shape(matrix.matrix_type), bool) for matrix in TINY.matrices}
    dense[TINY.matrices[0]][:4] = False
    run = make_run(runs, masks=MaskSet.from_dense(TINY, dense))
    for kind in ("output", "attention_output"):
        assert "Here an empty column can" in sentences(open_page("sparsity.py", run.run_id, matrix=kind).markdown)
    text = sentences(open_page("sparsity.py", run.run_id).markdown)
    assert "Here an empty row can" in text
    assert "Empty: 4 of 16 rows (25 %) and 0 of 16 columns (0 %)" in text
    assert "which saves time. Zeros make no matrix product faster" in text
