"""A file of a visitor on the page that opens it, and his mask on the pages that compare."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st
from conftest import TINY, make_run, random_masks

from smp_lab import paths
from smp_lab.encoder_families import BERT
from smp_lab.storage.formats import Base, Opened
from smp_lab.storage.imported import IMPORTED_MASKS, save_imported
from smp_lab.ui import opened, safety

from .conftest import charts, sentences

PAGE = "open_mask.py"


@pytest.fixture(autouse=True)
def local(monkeypatch):
    monkeypatch.setattr(safety, "is_local", lambda: True)


@pytest.fixture
def file(tmp_path):
    masks = random_masks(TINY, 0.25, seed=5)
    path = tmp_path / "theirs.npz"
    np.savez(path, **{BERT.parameter_name(matrix, "bert."): masks.dense(matrix) for matrix in masks})
    return path


def test_a_file_is_opened_for_the_session_and_kept_on_request(open_page, runs, file):
    make_run(runs)
    app = open_page(PAGE)
    # Of BERT-base's size, which the server takes too: its limit is the same one.
    assert app.get("file_uploader")[0].proto.max_upload_size_mb * 2**20 > 4 * 110_000_000
    app.text_input(key="mask_path").set_value(str(file)).run()
    assert "Read as dictionary of masks" in sentences(app.success)
    assert "of the encoders known here it alone has these shapes" in sentences(app.success)
    assert "All layers keep as much (25 %)." in sentences(app.markdown)
    assert len(charts(app)) == 1 and not app.exception
    assert not IMPORTED_MASKS.list([runs]).records
    next(button for button in app.button if "Keep" in button.label).click().run()
    assert "kept beside the runs" in sentences(app.caption)
    assert [mask.settings.label for mask in IMPORTED_MASKS.list([runs]).records.values()] == ["theirs.npz"]


def test_what_is_no_mask_is_a_sentence(open_page, runs, tmp_path):
    make_run(runs)
    (tmp_path / "no.txt").write_text("words")
    app = open_page(PAGE)
    app.text_input(key="mask_path").set_value(str(tmp_path / "no.txt")).run()
    assert "none of the files that are read here" in sentences(app.error)
    assert not app.exception


def test_nothing_is_read_where_nothing_can_be_changed(open_page, runs, monkeypatch):
    monkeypatch.setenv(paths.READ_ONLY_VARIABLE, "1")
    app = open_page(PAGE)
    assert "read-only" in sentences(app.info)
    assert not app.text_input and not app.get("file_uploader")


@pytest.fixture
def imported(runs):
    run = make_run(runs)
    config = run.config
    base = Base(config.base_model, config.base_model_sha256, TINY)
    opened = Opened(masks=random_masks(TINY, 0.25, seed=5), format="dictionary of masks", base=base, assumed=())
    return save_imported(runs, opened, source="m", label="[Theirs](http://x)", task="sst2")


@pytest.mark.parametrize(("page", "n_charts"), [("sparsity.py", 3), ("overlap.py", 5)])
def test_an_imported_mask_stands_beside_runs(open_page, imported, page, n_charts):
    app = open_page(page, masks=imported.mask_id)
    assert len(charts(app)) == n_charts
    assert "Theirs" in charts(app)[0].proto.spec or "an imported mask and another" in sentences(app.markdown)
    assert not app.error and not app.warning


@pytest.mark.parametrize(("page", "n_charts"), [("sparsity.py", 3), ("overlap.py", 5)])
def test_imported_masks_are_shown_where_there_is_no_run(open_page, runs, page, n_charts):
    base = Base("theirs", "c" * 64, TINY)
    masks = [
        save_imported(
            runs,
            Opened(masks=random_masks(TINY, 0.25, seed=seed), format="dictionary of masks", base=base, assumed=()),
            source="m",
            label=f"Theirs {seed}",
        ).mask_id
        for seed in (0, 1)
    ]
    app = open_page(page, masks=[*masks, masks[0]])
    assert len(charts(app)) == n_charts
    assert app.multiselect(key="masks").value == masks
    assert "no runs yet" in sentences(open_page(page).info)


def test_a_chosen_mask_goes_along_to_other_pages(open_page, imported):
    app = open_page("sparsity.py", masks=imported.mask_id)
    for page in ("history.py", "overlap.py"):
        app.switch_page(str(paths.pages_folder() / page))
        # As the menu does.
        app.query_params.clear()
        app.run()
    assert app.multiselect(key="masks").value == [imported.mask_id]
    assert app.query_params["masks"] == imported.mask_id


def test_a_file_has_a_name_that_this_machine_can_write(local, monkeypatch):
    monkeypatch.setattr(st, "session_state", {})
    monkeypatch.setattr(opened, "import_file", lambda file, *_: file.name if file.read_bytes() == b"x" else None)
    sent = SimpleNamespace(name=f"{'剪' * 120}.npz", file_id="1", getbuffer=lambda: b"x")
    name = opened.open_file(sent, [])
    assert name.endswith("剪.npz") and len(name) > 50


def test_a_file_is_read_again_once_it_was_written_again(local, monkeypatch, tmp_path):
    monkeypatch.setattr(st, "session_state", {})
    monkeypatch.setattr(opened, "import_file", lambda path, *_: next(path.parent.rglob("model")).read_bytes())
    folder = tmp_path / "pruned"
    folder.mkdir()
    file = folder / "model"
    for place in (file, folder):
        for written, content in enumerate((b"one", b"two")):
            file.write_bytes(content)
            os.utime(file, ns=(written, written))
            assert opened.open_file(str(place), []) == content


def test_a_mask_that_is_not_here_is_said(open_page, imported):
    app = open_page("sparsity.py", masks="gone")
    assert "no imported mask 'gone'" in sentences(app.warning)
