"""A report is opened by whoever gets it: from a file, with no network, and with every figure drawn."""

from __future__ import annotations

import pytest

from smp_lab.analysis.run_table import run_table
from smp_lab.report import report

from . import harness

pytestmark = pytest.mark.browser


def test_a_report_opens_from_a_file_without_a_network(chromium, records, tmp_path):
    runs = list(records.values())
    file = tmp_path / "report.html"
    file.write_text(report(runs, run_table(runs)))
    page = chromium.new_context(offline=True).new_page()
    errors, asked = harness.watch(page), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    figures = page.locator("figure")
    assert figures.count() == 8
    for place in range(figures.count()):
        figures.nth(place).locator(harness.MARKS).first.wait_for(state="attached")
    page.locator("summary").first.click()
    assert page.get_by_text(runs[0].run_id).first.is_visible()
    assert asked == [file.as_uri()]
    assert errors == []
    page.context.close()
