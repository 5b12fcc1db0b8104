"""The screen of a real run, with a mask of one's own."""

from pages.conftest import charts

from lesson.test_screens import open_screen
from smp_lab import paths
from smp_lab.storage.formats import Base, Opened
from smp_lab.storage.imported import save_imported
from smp_lab.storage.runs import load_run
from smp_lab.ui.lesson import records


def test_an_imported_mask_stands_among_the_seeds_and_tasks(tmp_path, monkeypatch):
    run = load_run(paths.cached_runs_folder() / records.MRPC)
    base = Base(run.config.base_model, run.config.base_model_sha256, run.layout)
    opened = Opened(masks=run.masks, format="bits", base=base, assumed=())
    mask = save_imported(tmp_path, opened, source="x", label="My <i>copy</i>")
    monkeypatch.setenv(paths.RUNS_VARIABLE, str(tmp_path))
    app = open_screen(7, look="seeds and tasks")
    app.button_group(key="guess_seeds").set_value("two tasks").run()
    assert len(app.selectbox(key="lesson_own_mask").options) == 1
    app.selectbox(key="lesson_own_mask").set_value(mask.mask_id).run()
    assert not app.exception
    (chart,) = charts(app)
    # The same mask.
    assert "1.00 between MRPC and My (i)copy(/i)" in chart.proto.alt
