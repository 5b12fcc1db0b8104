"""The lecture view, ``?lecture=1``: what is there to be operated is hidden, what is there to be read is larger."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

import segno
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
.lecture-full {{position: fixed !important; transform-origin: 0 0; z-index: 1000000}}
</style>"""
_STYLE_ELSEWHERE = f"<style>[data-testid=stLayoutWrapper]:has(> .st-key-{_LINKS}) {{display: none}}</style>"
# The keys of a presenter's remote control, and F for one figure on all of the screen, enlarged as it was drawn. The
# lesson has keys of its own.
_SCRIPT = """<script>
if (!window.lectureKeys) {
    window.lectureKeys = true;
    const leave = figure => {
        figure.classList.remove('lecture-full');
        figure.style.cssText = '';
    };
    const fill = figure => {
        const { width, height } = figure.getBoundingClientRect();
        const times = Math.min(innerWidth / width, innerHeight / height);
        const paper = getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor;
        figure.classList.add('lecture-full');
        Object.assign(figure.style, {
            width: `${width}px`,
            height: `${height}px`,
            left: `${(innerWidth - times * width) / 2}px`,
            top: `${(innerHeight - times * height) / 2}px`,
            transform: `scale(${times})`,
            background: paper,
            boxShadow: `0 0 0 100vmax ${paper}`,
        });
    };
    document.addEventListener('keydown', event => {
        const step = { PageDown: 1, PageUp: -1 }[event.key] || 0;
        const figures = [...document.querySelectorAll('[data-testid=stPlotlyChart]')];
        if (!figures.length || new URLSearchParams(location.search).get('lecture') !== '1') return;
        if (location.pathname.endsWith('/learn') || event.target.closest('input, textarea')) return;
        const full = document.querySelector('.lecture-full');
        if (full && ['Escape', 'f'].includes(event.key)) return leave(full);
        const middle = innerHeight / 2;
        const away = figures.map(figure => {
            const box = figure.getBoundingClientRect();
            return (box.top + box.bottom) / 2 - middle;
        });
        if (event.key === 'f') {
            const far = away.map(Math.abs);
            return fill(figures[far.indexOf(Math.min(...far))]);
        }
        if (!step) return;
        const ahead = away.map((far, place) => [step * far, place]).filter(([far]) => far > 40);
        ahead.sort((a, b) => a[0] - b[0]);
        const next = figures[full ? figures.indexOf(full) + step : ahead[0]?.[1]];
        if (!next) return;
        event.preventDefault();
        if (full) leave(full);
        next.scrollIntoView({ block: 'center' });
        if (full) fill(next);
    }, true);
}
</script>"""


def _address() -> str:
    """Of what is seen, with all that was chosen."""
    chosen = [(key, value) for key in st.query_params for value in st.query_params.get_all(key)]
    return f"{st.context.url}?{urlencode(chosen)}"


def switch(pages: Iterable[StreamlitPage]) -> None:
    """The way into the view, and in it the way out, beside links to all pages.

    Both are always drawn, and one is hidden: a widget whose place on the page changes would lose its hold on the URL.
    """
    st.sidebar.button(
        "Lecture view",
        icon=":material/co_present:",
        type="tertiary",
        help="Large type and no controls. Its address opens it as it is. Page Down goes to the next figure, "
        "Page Up to the one before, and F fills the screen with one.",
        on_click=links.put,
        args=[{links.LECTURE: "1"}],
    )
    st.html(_STYLE if links.in_lecture() else _STYLE_ELSEWHERE)
    st.html(_SCRIPT, unsafe_allow_javascript=True)
    with st.container(key=_LINKS, horizontal=True, vertical_alignment="center"):
        for page in pages:
            links.page_link(page)
        st.button(
            "Show the controls",
            icon=":material/tune:",
            type="tertiary",
            on_click=links.put,
            args=[{links.LECTURE: None}],
        )
        st.html('<a class="figure-link" href="#" aria-live="polite">Copy link</a>', width="content")
        if links.in_lecture():
            with st.popover("QR code", icon=":material/qr_code:", type="tertiary"):
                code = segno.make(_address(), error="m")
                st.image(code.svg_inline(scale=6, light="white"), alt="QR code of the address of this page")
