"""The app's router: which pages there are, and what stands around each of them."""

from __future__ import annotations

import streamlit as st

from smp_lab import __version__
from smp_lab.figures.overview import draw_icon, draw_wordmark
from smp_lab.paths import pages_folder
from smp_lab.ui import cache, controls, lecture, links, messages

_ABOUT = f"SMP Lab {__version__}: learn binary masks over frozen pre-trained encoders, keep them, look at them."


# Section of the menu -> its pages: file, title, icon. The first of all is the one that opens.
_MENU = {
    "Start": [
        (links.OVERVIEW, "Overview", "grid_on"),
        (links.LEARN, "Learn", "school"),
    ],
    "Explore": [
        (links.CURVES, "Curves", "show_chart"),
        (links.SPARSITY, "Sparsity", "stacked_line_chart"),
        (links.OVERLAP, "Overlap", "join_inner"),
        (links.HISTORY, "History", "timeline"),
        (links.SCORES, "Scores", "bar_chart"),
        (links.COST, "Cost", "savings"),
        (links.OPEN_MASK, "Open a mask", "folder_open"),
    ],
    # What takes a model, in a process of its own.
    "Run": [
        (links.TRAIN, "Train", "model_training"),
        (links.TRY, "Try", "edit_note"),
    ],
}


def main() -> None:
    """Draw the frame, then the page that the URL names."""
    # Before the menu, or the browser asks another server for the sign of the page as the icon of its tab.
    st.set_page_config("SMP Lab", draw_icon(), layout="wide", initial_sidebar_state=320, menu_items={"About": _ABOUT})
    menu = {
        section: [
            st.Page(pages_folder() / file, title=title, icon=f":material/{icon}:", default=file == links.OVERVIEW)
            for file, title, icon in pages
        ]
        for section, pages in _MENU.items()
    }
    # The former address of History, which copied links still name.
    former = st.Page(_to_history, title="Training", url_path="training", visibility="hidden")
    page = st.navigation({**menu, "": [former]})
    st.set_page_config(f"{page.title} · SMP Lab")
    st.logo(draw_wordmark(controls.theme()), size="large")
    if page == former:
        page.run()
    asked = links.not_yet_read()
    controls.style_sheet()
    with st.sidebar:
        controls.pick_runs(cache.run_index(), page.url_path)
        controls.figure_settings(page.url_path)
    lecture.switch(page for pages in menu.values() for page in pages)
    messages.warn_here(None)
    page.run()
    messages.not_taken(links.not_taken(asked))


def _to_history() -> None:
    query = {key: st.query_params.get_all(key) for key in st.query_params}
    st.switch_page(pages_folder() / links.HISTORY, query_params=query)


if __name__ == "__main__":
    with cache.looked_at_once():
        main()
