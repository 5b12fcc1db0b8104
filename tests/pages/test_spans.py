"""Every page with runs of a span task."""

import pytest

from smp_lab.paths import pages_folder

from .conftest import sentences

PAGES = sorted(page.name for page in pages_folder().glob("*.py"))


@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_a_span_run(open_page, write_run, page):
    runs = [
        write_run(task="toy-span", label_words=("yes", "no"), seed=seed, accuracy=accuracy)
        for seed, accuracy in ((0, 0.6), (1, 0.9))
    ]
    app = open_page(page, *(run.run_id for run in runs))
    assert not app.error, sentences(app.error)
    if page == "curves.py":
        # Alike in 28 of 40 examples; the other 12 are half right in one and right in the other.
        assert "+15.0 points of F1 on 40 examples, 95 % interval" in sentences(app.markdown).replace("**", "")
