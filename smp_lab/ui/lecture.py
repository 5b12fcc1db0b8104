"""The lecture view, ``?lecture=1``: what is there to be operated is hidden, what is there to be read is larger."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from smp_lab.ui import links

# Without sidebar and margins a page is as many times wider, so that figures keep their layout.
SCALE = 1.5

_LINKS = "lecture-links"
_OPERATED = "[data-testid=stWidgetLabel], [data-testid=stDownloadButton], [data-testid=stPageLink], .figure-link"
_READ = ", ".join(
    f"[data-testid={name}]"
    for name in ("stPlotlyChart", "stMarkdown", "stDataFrame", "stTable", "stMetric", "stImage", "stAlert", "stHeading")
)
# Widgets are hidden and not left out: they hold what the URL says.
_STYLE = f"""<style>
html {{font-size: {SCALE * 15}px !important}}
[data-testid=stSidebar], [data-testid=stExpandSidebarButton], [data-testid=stHeader] {{display: none}}
[data-testid=stMainBlockContainer] {{padding: 0.5rem 1.5rem 3rem}}
[data-testid=stMain] [data-testid=stElementContainer]:has(> [data-testid=stMetric]) {{width: 19rem !important}}
[data-testid=stMain] [data-testid=stMetricLabel] * {{white-space: normal; overflow: visible}}
[data-testid=stMain] [data-testid=stElementContainer]:has({_OPERATED}),
[data-testid=stMain] [data-testid=stLayoutWrapper]:has({_OPERATED}):not(:has({_READ})) {{display: none}}
[data-testid=stMain] [data-testid=stLayoutWrapper]:has(> .st-key-{_LINKS}),
[data-testid=stMain] .st-key-{_LINKS} [data-testid=stElementContainer] {{display: flex !important}}
</style>"""
_STYLE_ELSEWHERE = f"<style>[data-testid=stLayoutWrapper]:has(> .st-key-{_LINKS}) {{display: none}}</style>"
# The keys of a presenter's remote control. The lesson has keys of its own.
_SCRIPT = """<script>
if (!window.lectureKeys) {
    window.lectureKeys = true;
    document.addEventListener('keydown', event => {
        const step = {PageDown: 1, PageUp: -1}[event.key];
        const figures = [...document.querySelectorAll('[data-testid=stPlotlyChart]')];
        if (!step || !figures.length || new URLSearchParams(location.search).get('lecture') !== '1') return;
        if (location.pathname.endsWith('/learn')) return;
        const middle = innerHeight / 2;
        const away = figures.map(figure => {
            const box = figure.getBoundingClientRect();
            return (box.top + box.bottom) / 2 - middle;
        });
        const ahead = away.map((far, place) => [step * far, place]).filter(([far]) => far > 40);
        ahead.sort((a, b) => a[0] - b[0]);
        if (!ahead.length) return;
        event.preventDefault();
        figures[ahead[0][1]].scrollIntoView({block: 'center'});
    }, true);
}
</script>"""


def switch(pages: Iterable[StreamlitPage]) -> None:
    """The way into the view, and in it the way out, beside links to all pages.

    Both are always drawn, and one is hidden: a widget whose place on the page changes would lose its hold on the URL.
    """
    st.sidebar.button(
        "Lecture view",
        icon=":material/co_present:",
        type="tertiary",
        help="Large type and no controls. Its address opens it as it is. Page Down and Page Up go to the next figure.",
        on_click=links.set_lecture,
        args=[True],
    )
    st.html(_STYLE if links.in_lecture() else _STYLE_ELSEWHERE)
    st.html(_SCRIPT, unsafe_allow_javascript=True)
    with st.container(key=_LINKS, horizontal=True, vertical_alignment="center"):
        for page in pages:
            links.page_link(page)
        st.button(
            "Show the controls", icon=":material/tune:", type="tertiary", on_click=links.set_lecture, args=[False]
        )
        st.html('<a class="figure-link" href="#" aria-live="polite">Copy link</a>', width="content")
