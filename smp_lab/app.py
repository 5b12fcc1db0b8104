"""The app's router: which pages there are, and what stands around each of them."""

from __future__ import annotations

import streamlit as st

from smp_lab import __version__
from smp_lab.figures.overview import draw_icon, draw_wordmark
from smp_lab.paths import pages_folder
from smp_lab.ui import cache, controls, lecture, links, messages

_ABOUT = f"SMP Lab {__version__}: learn binary masks over frozen pre-trained encoders, keep them, look at them."


def main() -> None:
    """Draw the frame, then the page that the URL names."""
    st.set_page_config("SMP Lab", draw_icon(), layout="wide", initial_sidebar_state=320, menu_items={"About": _ABOUT})
    st.logo(draw_wordmark(controls.theme()), size="large")
    pages = [
        st.Page(pages_folder() / links.OVERVIEW, title="Overview", icon=":material/grid_on:", default=True),
        st.Page(pages_folder() / links.LEARN, title="Learn", icon=":material/school:"),
        st.Page(pages_folder() / links.SPARSITY, title="Sparsity", icon=":material/stacked_line_chart:"),
        st.Page(pages_folder() / links.OVERLAP, title="Overlap", icon=":material/join_inner:"),
        st.Page(pages_folder() / links.TRAINING, title="Training", icon=":material/timeline:"),
        st.Page(pages_folder() / links.CURVES, title="Curves", icon=":material/show_chart:"),
        st.Page(pages_folder() / links.SCORES, title="Scores", icon=":material/bar_chart:"),
    ]
    page = st.navigation(pages)
    asked = links.not_yet_read()
    controls.style_sheet()
    with st.sidebar:
        controls.pick_runs(cache.run_index())
        controls.figure_settings()
    lecture.switch(pages)
    place = messages.slot()
    page.run()
    with place:
        messages.not_taken(links.not_taken(asked))


if __name__ == "__main__":
    main()
