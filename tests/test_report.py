"""A report holds all that it says, and says it of the runs that were named."""

from __future__ import annotations

import re

import pytest
from conftest import make_run

from smp_lab.analysis.run_table import run_table
from smp_lab.errors import RunFormatError
from smp_lab.report import report as write

DENSE = {"schedule": None, "schedule_fraction": None, "score_learning_rate": None, "weight_learning_rate": 3e-5}


def words_of(page):
    """The page without its scripts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_it_has_findings_figures_tables_and_a_card_of_each_run(three):
    page = write(three, run_table(three))
    words = words_of(page)
    assert words.count("<details>") == 3
    for run in three:
        assert run.run_id in words
        assert run.config.data_sha256 in words
    assert "Attention head " in words and " keep most." in words
    assert "two seeds of one task <strong>" in words
    assert "3 runs. Encoder " in words
    assert words.count("<table>") == 1
    assert page.count("Plotly.newPlot(") == words.count("<figure") == 8


def test_it_loads_nothing_and_is_the_same_each_time(three):
    page = write(three, run_table(three))
    assert not re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?!data:)', page)
    assert "default-src 'none'" in page
    assert page == write(three, run_table(three))


def test_a_run_is_called_what_it_is_called_among_all_runs(runs):
    usual = [make_run(runs, seed=seed) for seed in (0, 1)]
    unusual = make_run(runs, seed=2, regularizer=0.0)
    words = words_of(write([unusual], run_table([*usual, unusual])))
    assert "regularizer 0" in words[words.index("<summary>") :]


def test_words_of_others_are_text(runs):
    two = [make_run(runs, base_model=name) for name in ("<b>x</b> [here](http://example.org)", "other | one")]
    words = words_of(write(two, run_table(two)))
    assert "example.org" in words
    assert "<b>" not in words
    assert "href" not in words
    assert "</b>" not in write(two, run_table(two))


def test_masks_alone_are_compared(runs):
    dense = make_run(runs, method="dense", remaining=1.0, **DENSE)
    words = words_of(write([dense], run_table([dense])))
    assert "Where do masks keep weights?" not in words
    assert "How much do masks agree?" not in words


def test_agreement_that_no_pair_has_is_not_known(runs):
    """Of masks that keep everything."""
    two = [make_run(runs, seed=seed, remaining=1.0) for seed in (0, 1)]
    assert "median: not known. 0 is chance." in words_of(write(two, run_table(two)))


def test_of_no_runs_there_is_no_report():
    with pytest.raises(RunFormatError, match="one run or more"):
        write([], run_table([]))
