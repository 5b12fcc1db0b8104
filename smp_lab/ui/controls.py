"""Widgets and displays that pages share: the run picker, figure settings, and a figure with its data."""

from __future__ import annotations

import importlib.util
import math
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from smp_lab import paths
from smp_lab.analysis import labels, run_table, selection
from smp_lab.analysis.summary import fingerprints
from smp_lab.errors import SmpLabError
from smp_lab.figures import style
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.storage.runs import Masked, RunRecord
from smp_lab.storage.store import Listing
from smp_lab.ui import cache, export, lecture, links, messages

# Pages that show a mask without a run.
_OF_MASKS = ("sparsity", "overlap", "open_mask")

# Where a second run stands beside the first: none does.
_NONE = "none"
# Tables of words scroll on a phone instead of becoming columns of single words.
# A figure's heading is for screen readers, and what a link to the figure names: to the eye the figure has its title.
# Streamlit's captions, its colours of code, and white on the dark theme's blue are fainter than small print may be
# (4.5 to 1: WCAG 2, 1.4.3), and its mark of focus is fainter than a mark may be (3 to 1: 1.4.11).
_STYLE_SHEET = """<style>
[class*="-frame st-"] {position: relative}
[data-testid=stLayoutWrapper]:has(> [class*="-figure-heading st-"]) {
    position: absolute; height: 1px; overflow: hidden; clip-path: inset(50%)
}
[class*="-figure-heading st-"] [data-testid=stHeaderActionElements] {display: none}
[class*="-figure-heading st-"] h2 {scroll-margin-top: 5rem}
[data-testid=stTable] table {min-width: 44rem}
[data-testid=stMain] :is([data-testid=stCaptionContainer], [data-testid=stImageCaption]) {opacity: 0.85}
[data-testid=stCode] .token {color: inherit !important}
:is([data-tag], button[kind^=primary]:enabled) {background-color: #00639B !important}
:is(button, a, input, textarea, summary, pre, div):focus-visible,
[data-testid=stSlider] [data-focus-visible] {
    outline: 2px solid currentColor !important; outline-offset: 2px
}
:is([data-tag], button[kind^=primary]):focus-visible {outline: 2px solid #808A94 !important; outline-offset: 2px}
[data-testid=stMain]:focus-visible {outline: 2px solid currentColor; outline-offset: -2px}
.figure-link {font-size: 0.93rem; color: inherit; text-decoration: underline}
[data-testid=stMain] [data-testid=stPageLink] p {text-decoration: underline}
[data-testid=stButtonGroup] > div {flex-wrap: wrap}
/* Above a table its buttons would lie on what stands there. */
[data-testid=stElementContainer]:has(> [data-testid=stFullScreenFrame] [data-testid=stDataFrame])
    [data-testid=stElementToolbar] {top: -0.35rem}
.stPlotlyChart:has(> .picture-before) {position: relative}
.picture-before {position: absolute; inset: 0}
/* On a phone the buttons of plotly would lie on the title. */
@media (max-width: 640px) {.js-plotly-plot .modebar {display: none}}
</style>"""
# A link to a figure is copied: its address is the page's with the figure's name, and no step in the history.
# Streamlit's menu has a <div> between <ul> and <li>: the <div> is named the list. Its place for a file has a name, and
# is none of a decoration. Its blocks of code scroll by mouse alone: the keys reach them. It names a help mark by the
# Markdown of the words before it: without the marks, a screen reader reads words. It mounts a chart anew for each new
# figure: what was zoomed into is zoomed into again, by what a chart says when somebody zooms, and where pictures move,
# the one before stands until the next is drawn.
_SCRIPT = r"""<script>
if (!window.figureLinks) {
    window.figureLinks = true;
    const copied = async address => {
        try {
            await navigator.clipboard.writeText(address);
        } catch {
            const field = document.body.appendChild(document.createElement('textarea'));
            field.value = address;
            field.select();
            document.execCommand('copy');
            field.remove();
        }
    };
    document.addEventListener('click', async event => {
        const link = event.target.closest && event.target.closest('.figure-link');
        if (!link) return;
        event.preventDefault();
        event.stopPropagation();
        const address = location.origin + location.pathname + location.search + link.getAttribute('href');
        history.replaceState(history.state, '', address);
        await copied(address);
        link.textContent = 'Link copied';
        setTimeout(() => { link.textContent = 'Copy link'; }, 2000);
    }, true);
    const keyOf = part => part.closest('[class*="st-key-"]')?.className.match(/st-key-\S+/)[0];
    const zooms = {};
    const keepZoom = chart => {
        if (chart.keepsZoom || !chart.on || !chart.layout) return;
        chart.keepsZoom = true;
        const place = keyOf(chart) + chart.layout.uirevision;
        const ranges = zooms[place] ??= {};
        const same = (one, other) => String(one) === String(other);
        chart.on('plotly_relayout', changes => {
            for (const name of Object.keys(changes)) {
                const [axis] = name.match(/^[xy]axis\d*(?=\.(auto)?range)/) ?? [];
                if (!axis) continue;
                const {range, _rangeInitial0, _rangeInitial1} = chart._fullLayout[axis];
                ranges[axis] = [...range];
                if (name.endsWith('autorange') || same(range, [_rangeInitial0, _rangeInitial1])) delete ranges[axis];
            }
        });
        // While it is mounted its own state is not heard of this yet, and is drawn over it.
        const zoom = tries => {
            if (!tries || !Object.keys(ranges).length) return;
            const drawn = axis => chart._fullLayout[axis]?.range ?? ranges[axis];
            const away = Object.entries(ranges).filter(([axis, range]) => !same(drawn(axis), range));
            if (away.length) {
                const zoomed = away.map(([axis, range]) => [axis, {...chart.layout[axis], range, autorange: false}]);
                chart.layout = {...chart.layout, ...Object.fromEntries(zoomed)};
                chart.emit('plotly_relayout', {});
            }
            requestAnimationFrame(() => zoom(tries - 1));
        };
        zoom(60);
    };
    const pictures = {};
    const hold = frame => {
        const chart = frame.querySelector(':scope > :not(.picture-before)'), place = keyOf(frame);
        if (!chart) return;
        const held = frame.querySelector(':scope > .picture-before');
        if (chart.querySelector('.trace, .xtick, .annotation, image')) held?.remove();
        else if (!held && pictures[place]) frame.prepend(pictures[place].cloneNode(true));
        if (chart.isHeld || !chart.on) return;
        chart.isHeld = true;
        chart.on('plotly_afterplot', () => {
            pictures[place] = chart.firstElementChild.cloneNode(true);
            Object.assign(pictures[place], {className: 'picture-before', inert: true});
        });
    };
    const mend = () => {
        document.querySelectorAll('.js-plotly-plot').forEach(keepZoom);
        document.querySelectorAll(':is([class*="st-key-live-"], .st-key-lesson) .stPlotlyChart').forEach(hold);
        for (const [parts, name, value] of [
            ['[data-testid=stSidebarNavItems]', 'role', 'none'],
            ['[data-testid=stSidebarNavItems] > div', 'role', 'list'],
            ['[data-testid=stFileUploaderDropzone]', 'role', 'group'],
            ['pre', 'tabindex', '0'],
        ]) for (const part of document.querySelectorAll(`${parts}:not([${name}="${value}"])`))
            part.setAttribute(name, value);
        for (const mark of document.querySelectorAll('[aria-label*="**"], [aria-label*="`"]'))
            mark.ariaLabel = mark.ariaLabel.replaceAll(/\*\*|`/g, '');
    };
    new MutationObserver(mend).observe(document.body, {childList: true, subtree: true});
    mend();
}
</script>"""


def run_labels(runs: Sequence[Masked]) -> dict[str, str]:
    """Id of a run, or of a mask without one -> what legends and pickers call it among these."""
    names = cache.computed(labels.run_labels, rows_of([run for run in runs if isinstance(run, RunRecord)]))
    return names | {mask.mask_id: labels.without_tags(mask.label) for mask in runs if isinstance(mask, MaskRecord)}


def rows_of(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Their rows of the table of all runs, in order."""
    table, run_ids = cache.run_table(), [run.run_id for run in runs]
    if not set(run_ids).issubset(table["run_id"]):
        # A fragment holds the runs of the page that it is on, and one was removed since: the page is drawn anew.
        st.rerun()
    return cache.computed(run_table.rows_of, table, run_ids)


def tables_of_runs(contents: Sequence[tuple[Masked, pd.DataFrame]]) -> pd.DataFrame:
    """One table of several, with the columns run_id, run (label), task, method, level and seed in front."""
    return cache.computed(run_table.tables_of_runs, contents, run_labels([run for run, _ in contents]))


def pick_runs(index: Listing[RunRecord], page: str) -> None:
    """The pickers that pages share, of runs and of imported masks; what they hold is in the URL.

    Where another page was drawn before, the choice comes along.
    """
    moved = st.session_state.get("page", page) != page
    st.session_state["page"] = page
    names = cache.run_labels()
    _pick_shared(
        "Runs",
        {run_id: names.get(run_id, run_id) for run_id in index.records},
        links.RUNS,
        moved,
        placeholder="Choose runs to compare",
        help="Type any part of a run's label. The choice is in the address of the page: copy it to share what you see.",
    )
    if page not in _OF_MASKS:
        # Streamlit forgets what a widget held on a page without it.
        st.session_state[links.MASKS] = links.asked(links.MASKS) or st.session_state.get(links.MASKS, [])
        return
    known = cache.imported_masks()
    for _, sentence in known.problems:
        messages.warning(sentence)
    if known.records or links.asked(links.MASKS):
        titles = {mask_id: labels.without_tags(mask.settings.label) for mask_id, mask in known.records.items()}
        _pick_shared("Imported masks", titles, links.MASKS, moved, placeholder="Choose masks from elsewhere")


def _pick_shared(label: str, names: dict[str, str], key: str, moved: bool, **settings: Any) -> None:
    asked = links.asked(key)
    if moved and not asked:
        asked = st.session_state.get(key, [])
    # A link may name one that is not here.
    _several(label, names | {option: option for option in asked if option not in names}, key, asked, **settings)
    links.put({key: asked})


def _chosen_masks() -> list[MaskRecord]:
    """The imported masks that are chosen, with a sentence for those that are not here."""
    known, chosen = cache.imported_masks().records, links.asked(links.MASKS)
    with messages.slot():
        for mask_id in chosen:
            if mask_id not in known:
                messages.warning(f"There is no imported mask {mask_id!r} here. `smp-lab import` makes one of a file.")
    return [known[mask_id].mask_record for mask_id in chosen if mask_id in known]


def pick(
    label: str,
    names: Mapping[str, str],
    *,
    key: str,
    index: int = 0,
    widget: Callable[..., Any] = st.selectbox,
    **settings: Any,
) -> str:
    """A widget that shows names, and keeps what they stand for in the address.

    Streamlit's own binding would put the names there, which change with what else is shown. Where the address names no
    option of `names`, the `index`-th is chosen.
    """
    options = list(names)
    first = options[min(index, len(options) - 1)]
    asked = st.query_params.get(key)
    st.session_state[key] = asked if asked in names else first
    chosen = widget(
        label, options, format_func=names.__getitem__, key=key, on_change=_into_address, args=[key], **settings
    )
    # One step of the history for each choice: what the address names already stays there, though it be the first.
    if chosen != asked:
        links.put({key: None if chosen == first else chosen})
    return str(chosen)


def pick_several(
    label: str, names: Mapping[str, str], *, key: str, first: Sequence[str], most: int, **settings: Any
) -> list[str]:
    """The same for several options, `most` at most; `first` are chosen where the address names none."""
    asked = [option for option in links.asked(key) if option in names]
    chosen = _several(label, names, key, asked[:most] or list(first), max_selections=most, **settings)
    links.put({key: None if chosen == list(first) else chosen})
    return chosen


def _several(label: str, names: Mapping[str, str], key: str, held: Sequence[str], **settings: Any) -> list[str]:
    st.session_state[key] = held
    return st.multiselect(
        label, list(names), format_func=names.__getitem__, key=key, on_change=_into_address, args=[key], **settings
    )


def pick_one_or_two(
    places: Sequence[DeltaGenerator], labels: Mapping[str, str], keys: tuple[str, str], *, index: int = 0
) -> list[str]:
    """A run, the `index`-th where the address names none, and perhaps another one to stand beside it."""
    with places[0]:
        first = pick("Run", labels, key=keys[0], index=index)
    others = {_NONE: _NONE} | {other: label for other, label in labels.items() if other != first}
    with places[1]:
        second = pick("Beside it", others, key=keys[1], help="On the same scales.")
    return [run_id for run_id in (first, second) if run_id != _NONE]


def whole_number(label: str, least: int, most: int, first: int, *, key: str, width: Any = "stretch") -> int:
    """A field for a number of whole ones; the address has it."""
    bind: Literal["query-params"] | None = "query-params"
    if not st.query_params.get(key, str(first)).isdecimal():
        # Of "inf" Streamlit would make an error.
        links.put({key: None})
        bind = None
    return int(st.number_input(label, least, most, first, key=key, bind=bind, width=width))


def one_of(label: str, options: Sequence[Any], *, key: str, first: Any = None, **settings: Any) -> Any:
    """Buttons of which one is always pressed, the first one to begin with; the address has it."""
    usual = options[0] if first is None else first
    chosen = st.segmented_control(
        label, options, default=usual, required=True, key=key, bind="query-params", **settings
    )
    # None of an address that has the key without a value.
    return usual if chosen is None else chosen


def _into_address(key: str) -> None:
    links.put({key: st.session_state[key]})


def clearest(runs: Sequence[RunRecord]) -> str:
    """The run to begin with: of usual runs, one of each task, the one farthest above its baseline.

    Its main metric lies most widths of its sampling interval above that of the majority-class baseline. Where there are
    no such runs, it is the first.
    """
    by_id = {run.run_id: run for run in runs}
    usual = [run_id for run_id in cache.computed(selection.one_per_task, rows_of(runs)) if run_id in by_id]
    distances = {run_id: _above_baseline(by_id[run_id]) for run_id in usual}
    return max(distances, key=distances.__getitem__, default=next(iter(by_id)))


def _above_baseline(run: RunRecord) -> float:
    try:
        known = cache.reliability(run, run.main_metric)
    except SmpLabError:
        return -math.inf
    width = known.high - known.low
    # To say the same of all has a correlation of 0, and no span.
    baseline = 0.0 if math.isnan(known.majority_baseline) else known.majority_baseline
    return (run.main_value - baseline) / width if width > 0 else 0.0


class Unasked(NamedTuple):
    """What a page shows where no run is chosen and there are more than `most`.

    `pick` chooses from the table of all runs, and `words` say what these have in common; where it finds fewer than
    two, the first `most` are shown.
    """

    most: int
    pick: Callable[[pd.DataFrame], list[str]]
    words: str


ONE_PER_TASK = Unasked(4, selection.one_per_task, "one of each task, of one method and level")
ALL_SEEDS_AND_CONTROLS = Unasked(
    20,
    selection.all_seeds_and_controls,
    "seeds of each task, of one method and level, and the controls at that level",
)


def chosen_runs(index: Listing[RunRecord], *, otherwise: Unasked | None = None) -> list[RunRecord]:
    """The chosen runs that exist, with a sentence for those that do not; `otherwise` or all where none is chosen."""
    if not index.records:
        no_runs()
        st.stop()
    chosen: list[str] = st.session_state.get(links.RUNS, [])
    runs = [index.records[run_id] for run_id in chosen if run_id in index.records]
    shown, words = (runs, "") if runs else _unasked(index, otherwise)
    with messages.slot():
        warn_of_missing(chosen, index)
        if not runs:
            some = "the only one is" if len(shown) == 1 else f"all {len(shown)} are"
            if len(shown) < len(index.records):
                those = f"{len(shown)} of {len(index.records)} are shown{words}"
            else:
                those = f"{some} {'shown' if otherwise else 'available'}"
            where = "" if links.in_lecture() else " Choose runs in the sidebar or on the overview."
            st.caption(f"No run is chosen, so {those}.{where}")
    return shown


def chosen_runs_and_masks(index: Listing[RunRecord], *, otherwise: Unasked) -> tuple[list[RunRecord], list[MaskRecord]]:
    """The same with the chosen imported masks, which can be seen where there is no run."""
    masks = _chosen_masks()
    return [] if masks and not index.records else chosen_runs(index, otherwise=otherwise), masks


def warn_of_missing(run_ids: Sequence[str], index: Listing[RunRecord]) -> None:
    """A sentence for each run that is not here."""
    with messages.slot():
        for run_id in run_ids:
            if run_id not in index.records:
                messages.warning(
                    f"There is no run {run_id!r} here. If it lies in another folder, set SMP_LAB_RUNS to that."
                )


def _unasked(index: Listing[RunRecord], otherwise: Unasked | None) -> tuple[list[RunRecord], str]:
    """Runs that nobody chose, and what is to be said of them."""
    every = list(index.records.values())
    if otherwise is None or len(every) <= otherwise.most:
        return every, ""
    picked = cache.computed(otherwise.pick, cache.run_table())
    if len(picked) < 2:
        return every[: otherwise.most], ", the first"
    left_out = 0
    if otherwise is ALL_SEEDS_AND_CONTROLS:
        left_out = cache.computed(selection.n_seeds_left_out, cache.run_table(), picked)
    more = f"; {left_out:,} runs of higher seeds are left out: pairs grow with their square" if left_out else ""
    encoders = cache.run_table().set_index("run_id")["base_model"]
    of = f", of {messages.plain(encoders[picked[0]])}" if len(set(encoders)) > 1 else ""
    return [index.records[run_id] for run_id in picked], f"{of}, {otherwise.words}{more}"


def no_runs() -> None:
    """What to do where there is no run at all."""
    st.info("There are no runs yet. Train one, then reload this page:")
    command("train", "--task", "toy-sentiment", "--remaining", "0.5")


def command(*words: str) -> None:
    """A command of smp-lab for a terminal, on the folder of runs that is shown."""
    line = shlex.join(["smp-lab", *words, *paths.runs_words(paths.own_runs_folder())])
    st.code(line, language="shell", wrap_lines=True)


def has_torch() -> bool:
    """Whether models run here; where they do not, the command that brings what is missing is shown."""
    installed = importlib.util.find_spec("torch") is not None
    if not installed:
        st.warning("The packages that train and run a model are not installed. This brings them:")
        st.code("pip install -e '.[train,encoder]'", language="shell")
    return installed


def can_be_measured(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Those whose mask such commands take: one that was learned for a task, over frozen weights and label words."""
    # A control has one mask for all tasks, and so none of its own.
    return [run for run in runs if run.has_masks and run.config.is_mask_alone and not run.config.method_info.is_control]


def ask_to_measure(runs: Sequence[RunRecord], measured: Collection[str], words: str, verb: str, *options: str) -> None:
    """Words, and a command for the first of the runs that can be measured and were not; nothing where all were."""
    if missing := [run for run in can_be_measured(runs) if run.run_id not in measured]:
        st.caption(words)
        command(verb, missing[0].run_id, *options)


def style_sheet() -> None:
    """What Streamlit has no word for; to be drawn once a page."""
    st.html(_STYLE_SHEET)
    st.html(_SCRIPT, unsafe_allow_javascript=True)


# Pages with figures whose colours say what one likes: of lines more than of pairs.
_COLORED = {page: style.LINE_COLOR_BY for page in ("sparsity", "history")} | {"overlap": style.COLOR_BY}


def figure_settings(page: str) -> None:
    """Settings of all figures of a page."""
    if page in _COLORED:
        pick_color(_COLORED[page])


def pick_color(choices: Sequence[str] = style.COLOR_BY) -> str:
    """The choice of what colours say, and what it is."""
    names = {choice: choice for choice in choices}
    return pick("Colour by", names, key="color", widget=st.segmented_control, required=True)


def color_by() -> str:
    """What colours say, as `figure_settings` of the page has it."""
    return str(st.session_state.get("color") or style.TASK)


def seeds_apart(table: pd.DataFrame) -> bool:
    """Whether each seed has a line of its own instead of their mean; asked where there is such a choice."""
    return table["line"].nunique() == table["run"].nunique() or st.toggle(
        "Each seed by itself",
        key="each_seed",
        bind="query-params",
        help="Otherwise a line is the mean over seeds, and its band reaches from the lowest to the highest.",
    )


def theme() -> str:
    """`style.DARK` where the visitor's page is dark, else `style.LIGHT`."""
    return style.DARK if st.context.theme.type == style.DARK else style.LIGHT


def scale() -> float:
    """How much larger a page is than usual: the lecture view is."""
    return lecture.SCALE if links.in_lecture() else 1


def drawn(plot: Callable[..., go.Figure], *args: Any, **settings: Any) -> go.Figure:
    """What a function of `smp_lab.figures` draws, in the page's theme and size.

    Drawn once for all who see the same, which is half of what a page costs: read it, and do not change it.
    """
    return cache.figure(plot, theme(), scale(), args, settings)


def show_settled(
    plot: Callable[..., go.Figure | dict[str, Any]],
    *args: Any,
    key: str,
    alt: str,
    height: Literal["content", "stretch"] = "content",
    on_click: Callable[[Any], None] | None = None,
    **settings: Any,
) -> None:
    """The same for a figure that is never saved, and shown: the browser draws it in a third of the time."""
    figure = cache.figure(plot, theme(), scale(), args, settings, settled=True)
    if figure.layout.meta:
        st.caption(figure.layout.meta)
    _chart(figure, key, alt, on_click, height=height, config={"displayModeBar": False})


def show(
    plot: Callable[..., go.Figure],
    table: pd.DataFrame,
    *args: Any,
    key: str,
    alt: str,
    min_width: int | None = None,
    on_click: Callable[[Sequence[Any]], None] | None = None,
    **settings: Any,
) -> None:
    """Draw a table with a function of `smp_lab.figures` and show it; see `drawn` and `show_figure`."""
    figure = drawn(plot, table, *args, **settings)
    show_figure(figure, table, key=key, alt=alt, min_width=min_width, on_click=on_click)


def show_figure(
    figure: go.Figure,
    table: pd.DataFrame,
    *,
    key: str,
    alt: str,
    min_width: int | None = None,
    on_click: Callable[[Sequence[Any]], None] | None = None,
) -> None:
    """A figure from `drawn`, and the table that it draws as CSV and JSON.

    Parameters
    ----------
    figure, table, alt
        `alt` says in a sentence what the figure shows.
    key
        Unique in the app; also the name of downloaded files.
    min_width
        Pixels below which it scrolls sideways instead of shrinking.
    on_click
        Called with the customdata of the point that was clicked, before the page is drawn again.
    """
    title = figure.layout.title.text
    times = scale()
    config = {
        "displaylogo": False,
        "displayModeBar": "hover" if times == 1 else False,
        # Its picture would have the ink and the fonts of the page: `export` makes one for paper.
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "toImage"],
    }
    with st.container(key=f"{key}-frame"):
        if min_width:
            st.html(
                f"<style>.st-key-{key}-frame {{overflow-x: auto; container-type: inline-size}} "
                f".st-key-{key}-frame .st-key-{key} {{min-width: {times * min_width:.0f}px}} "
                f"@container (max-width: {times * min_width - 1:.0f}px) {{.st-key-{key}-frame::before "
                "{content: 'Swipe sideways to see all of it'; position: sticky; left: 0; opacity: 0.8}}</style>"
            )
        # Read by screen readers, and what a link to the figure names; to the eye the figure has a title.
        with st.container(key=f"{key}-figure-heading"):
            st.header(title, anchor=key)
        _chart(figure, key, alt, on_click, config=config)
    data_downloads(table, key, picture=lambda: export.dialog(figure, key, f"{alt} {_of_runs(table)}", min_width))


def _chart(figure: go.Figure, key: str, alt: str, on_click: Callable[[Any], None] | None, **how: Any) -> None:
    clicked: Any = "ignore" if on_click is None else lambda: report_click(key, on_click)
    st.plotly_chart(figure, key=key, theme=None, alt=alt, on_select=clicked, selection_mode="points", **how)


# A caption names more runs by their number alone.
_MOST_IN_A_CAPTION = 8


def _of_runs(table: pd.DataFrame) -> str:
    """Which runs a table is about, if it names any: how many, their encoder and data by fingerprint, and their ids."""
    columns = [column for column in ("run_id", "run_a", "run_b") if column in table]
    cells = [cell for column in columns for cell in table[column].dropna().unique()]
    # A line of several seeds has the ids of all of them.
    named = {run_id for cell in cells for run_id in cell.split(", ")}
    rows = cache.run_table()
    rows = rows[rows["run_id"].isin(named)]
    if rows.empty:
        return ""
    ids = f" Ids: {', '.join(rows['run_id'])}." if len(rows) <= _MOST_IN_A_CAPTION else ""
    return fingerprints(rows) + ids


def report_click(key: str, on_click: Callable[[Any], None]) -> None:
    """Tell the customdata of the point of a chart that was clicked, if it has any."""
    # A second click on the same point takes the selection back and names no point.
    for point in st.session_state[key]["selection"]["points"][:1]:
        if "customdata" in point:
            on_click(point["customdata"])


def data_downloads(table: pd.DataFrame, key: str, *, picture: Callable[[], None] | None = None) -> None:
    """Quiet buttons that save a table as CSV and as JSON (a list of rows).

    For a figure also one that asks how to save it as a picture, and a link to it.
    """
    forms: dict[str, tuple[str, Callable[[], str]]] = {
        "csv": ("text/csv", lambda: table.to_csv(index=False)),
        "json": ("application/json", lambda: str(table.to_json(orient="records", double_precision=15))),
    }
    with st.container(horizontal=True, vertical_alignment="center"):
        for kind, (mime, make) in forms.items():
            download(kind.upper(), make, f"{key}.{kind}", mime, key=f"{key}-{kind}", disabled=table.empty)
        if picture:
            if st.button("Picture", key=f"{key}-picture", type="tertiary", icon=":material/image:"):
                picture()
            # Relative, so that it names whatever the address says; the script of `style_sheet` copies it.
            st.html(f'<a class="figure-link" href="#{key}" aria-live="polite">Copy link</a>', width="content")


def download(
    label: str, make: Callable[[], str | bytes], file_name: str, mime: str, *, key: str, disabled: bool = False
) -> None:
    """A quiet button that saves a file, made when it is pressed."""
    st.download_button(
        label,
        data=make,
        file_name=file_name,
        mime=mime,
        key=key,
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
        disabled=disabled,
    )
