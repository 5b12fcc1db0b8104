"""What is written into an address by hand, or for other runs: a sentence, never a traceback, never silence."""

from __future__ import annotations

import pytest
from conftest import make_run

from .conftest import charts, sentences

ASKED = "The address asks for"

JUNK = [
    ("overlap.py", {"measure": "agreement"}),
    ("overlap.py", {"pair_a": "no-such-run"}),
    ("overlap.py", {"sets": "no-such-run"}),
    ("sparsity.py", {"layer": "99"}),
    ("scores.py", {"snapshot": "many"}),
    ("sparsity.py", {"matrix_run": "no-such-run"}),
    ("history.py", {"x": "hours"}),
    ("history.py", {"color": "seed"}),
    ("cost.py", {"n_tasks": "-3"}),
    ("cost.py", {"n_tasks": "many"}),
    ("cost.py", {"n_tasks": "inf"}),
    ("curves.py", {"task": "no-such-task"}),
    ("curves.py", {"compared_with": "no-such-run"}),
    ("scores.py", {"snapshot": "5000"}),
    ("scores.py", {"view": "sideways"}),
    ("scores.py", {"score_layer": "1e9"}),
    ("overview.py", {"card": "no-such-run"}),
]


# Streamlit keeps a key without a value, and takes "inf" for a number.
EMPTY = [("history.py", {"x": ""}), ("scores.py", {"view": ""}), ("learn.py", {"screen": "4", "seed": "inf"})]


@pytest.fixture
def several(runs):
    return [make_run(runs, seed=seed, mask_seed=seed) for seed in range(8)]


@pytest.mark.parametrize(("page", "query"), JUNK)
def test_what_a_page_does_not_have_is_named(open_page, several, page, query):
    ((key, value),) = query.items()
    app = open_page(page, **query)
    assert f"{ASKED} {key}={value}," in sentences(app.warning)
    # After the question and its answer, before what is shown.
    places = [element.type for element in app.main]
    before = places[: places.index("warning")]
    assert "title" in before and "plotly_chart" not in before
    assert not app.error
    assert len(charts(app)) == len(charts(open_page(page)))
    app.run()
    assert ASKED not in sentences(app.warning)


@pytest.mark.parametrize(("page", "query"), EMPTY)
def test_a_value_that_is_none_is_as_if_it_were_not_there(open_page, several, page, query):
    assert len(charts(open_page(page, **query))) == len(charts(open_page(page)))


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("overlap.py", {"measure": "lift"}),
        ("overlap.py", {"measure": "phi_within"}),
        ("sparsity.py", {"layer": "1", "heads": "value"}),
        ("cost.py", {"n_tasks": "8"}),
        ("curves.py", {"intervals": "true", "published": ["tables", "figure 1"]}),
        ("curves.py", {"task": "RTE", "metric": "Accuracy", "published": "tables", "intervals": "false"}),
        ("scores.py", {"snapshot": "30", "view": "distribution", "lecture": "1"}),
        ("scores.py", {"view": "when decided", "similarity": "Recall", "decided_by": "50"}),
        ("overview.py", {"filter_task": "rte"}),
        ("history.py", {"of_another_program": "1"}),
    ],
)
def test_what_is_there_needs_no_words(open_page, several, page, query):
    assert ASKED not in sentences(open_page(page, several[0].run_id, several[1].run_id, **query).warning)


def test_more_runs_than_can_be_intersected(open_page, several):
    app = open_page("overlap.py", sets=[run.run_id for run in several])
    assert len(charts(app)) == 6


@pytest.mark.parametrize("page", ["cost.py", "curves.py", "history.py", "overlap.py", "overview.py", "sparsity.py"])
def test_what_is_named_twice_is_shown_once(open_page, several, page):
    first, second = (run.run_id for run in several[:2])
    app = open_page(page, first, first, second)
    assert app.multiselect(key="runs").value == app.query_params["runs"] == [first, second]
