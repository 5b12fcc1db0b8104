"""How every figure looks: template, colours, and the marks that tell runs apart.

Colours of tasks, methods and levels never depend on what else is drawn. They hold on white and on the dark page. Some
are those of Okabe and Ito (2008), "Color Universal Design"; a test holds all apart for three colour visions, and the
hues of methods too.
"""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import convert_colors_to_same_type, sample_colorscale
from plotly.subplots import make_subplots

from smp_lab.layout import ATTENTION_OUTPUT, INTERMEDIATE, KEY, OUTPUT, QUERY, VALUE
from smp_lab.metrics import METRICS

LIGHT, DARK = "light", "dark"
TASK, METHOD = COLOR_BY = ("task", "method")
# Of lines colours may also say the fraction asked for, or the run.
DIFFERENCE, LEVEL, RUN = "what differs", "level", "run"
LINE_COLOR_BY = (DIFFERENCE, TASK, METHOD, LEVEL, RUN)


class _Marks(dict[str, str]):
    """A fixed mark by name, and a neutral one for every name that has none."""

    def __init__(self, neutral: str, marks: Mapping[str, str]) -> None:
        super().__init__(marks)
        self._neutral = neutral

    def __missing__(self, name: str) -> str:
        return self._neutral


_NEUTRAL_COLOR = "#808A94"

TASK_COLORS = _Marks(
    _NEUTRAL_COLOR,
    {
        "sst2": "#0072B2",
        "cola": "#D55E00",
        "mrpc": "#009E73",
        "rte": "#7569EF",
        "qqp": "#69C36A",
        "stsb": "#E69F00",
        "mnli": "#488090",
        "qnli": "#56B4E9",
        "wnli": "#873319",
        "squad": "#5A00F0",
        "toy-sentiment": "#6F8CA3",
        "toy-acceptability": "#A98467",
        "toy-entailment": "#7F7F7F",
        "toy-span": "#A07EA0",
    },
)
# Colour, symbol and dash. Methods of which there are published numbers alone have their marks too.
_METHODS = {
    "smp_s": ("#0072B2", "circle", "solid"),
    "smp_l": ("#D55E00", "square", "dash"),
    "smp_g": ("#7283E8", "hexagram", "longdash"),
    "smp_t": ("#81B377", "star-square", "longdashdot"),
    "smp": ("#1BA6D9", "hexagon", "solid"),
    "dense": ("#3D6272", "star", "dash"),
    "magnitude": ("#60ACAC", "triangle-up", "dot"),
    "movement": ("#873743", "diamond", "dashdot"),
    "soft_movement": ("#64BD9B", "triangle-down", "longdashdot"),
    "l0": ("#8128CF", "pentagon", "longdash"),
    "random": ("#747C74", "bowtie", "dot"),
    "magnitude_frozen": ("#E69F00", "star-triangle-up", "dot"),
    "cap": ("#1E92A9", "cross", "dot"),
    "super_tickets": ("#ABA04F", "x", "dot"),
}
METHOD_COLORS, METHOD_SYMBOLS, METHOD_DASHES = (
    _Marks(neutral, {name: marks[place] for name, marks in _METHODS.items()})
    for place, neutral in enumerate((_NEUTRAL_COLOR, "circle", "solid"))
)

# By what they say.
COLORS = {TASK: TASK_COLORS, METHOD: METHOD_COLORS}

# The two sides of a mask, where colours say neither task nor method; as in the picture of the method.
KEPT_COLOR, REMOVED_COLOR = "#E69F00", _NEUTRAL_COLOR

# What sets runs apart that have no marks of their own by name.
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "pentagon", "star")
_RUN_COLORS = ("#0072B2", "#D55E00", "#009E73", "#7569EF", "#E69F00", "#56B4E9", "#873319", "#69C36A", "#3D6272")

# Fewer weights, a thinner line: lowest remaining fraction of each width in pixels.
_WIDTHS = ((0.4, 3.0), (0.2, 2.25), (0.075, 1.6), (0.0, 1.1))

MATRIX_TITLES: Mapping[str, str] = {
    "all": "All six types",
    QUERY: "Query",
    KEY: "Key",
    VALUE: "Value",
    ATTENTION_OUTPUT: "Attention output",
    INTERMEDIATE: "Intermediate (up)",
    OUTPUT: "Output (down)",
}
HEAD_WORDS = "query, key, value and attention output"
# In lines so short that six of them stand upright below a grid of half the page's width.
MATRIX_TICKS: Mapping[str, str] = {
    QUERY: "Query",
    KEY: "Key",
    VALUE: "Value",
    ATTENTION_OUTPUT: "Attention<br>output",
    INTERMEDIATE: "Inter-<br>mediate<br>(up)",
    OUTPUT: "Output<br>(down)",
}

METRIC_TITLES: Mapping[str, str] = {metric.name: metric.title for metric in METRICS.values()}

# The horizontal axis of the paper's figures.
REMAINING_TITLE = "Remaining weights (%), encoder"
PERCENT_TICKS = (1, 3, 10, 30, 50, 100)

# Perceptually even and the same to most colour visions (Nunez et al. 2018); dark is empty, bright is kept.
FRACTION_SCALE = "Cividis"
FRACTION_ENDS = ("#00224E", "#FEE838")

# Below, at and above chance: blue and orange keep apart for all colour visions, and the middle is near the page's own
# lightness, so that what stands out is what differs from chance.
_DIVERGING: Mapping[str, list[str]] = {
    LIGHT: ["#0B3C6F", "#4A8CC2", "#EEF0F1", "#E08A3C", "#7A3403"],
    DARK: ["#8CC4F2", "#3A76AC", "#272E36", "#B5651D", "#FFB870"],
}

# Dark on white: one of the two stands out from any colour.
_FRAME = ({"color": "#FFFFFF", "width": 4}, {"color": "#1F2933", "width": 1.5})

FONT = '"Source Sans", "Source Sans 3", "Source Sans Pro", "Helvetica Neue", Arial, sans-serif'


class Ink(NamedTuple):
    """Colours of everything in a figure that is not data."""

    text: str
    muted: str
    grid: str
    line: str
    surface: str


INKS: Mapping[str, Ink] = {
    LIGHT: Ink(text="#1F2933", muted="#5B6770", grid="#E6E9EC", line="#9AA5AE", surface="#FFFFFF"),
    DARK: Ink(text="#E4E7EB", muted="#A3AEB8", grid="#2A323A", line="#5F6C78", surface="#1A2027"),
}


@cache
def template(theme: str) -> go.layout.Template:
    """The one plotly template, for `LIGHT` or `DARK` pages. Backgrounds are transparent.

    Made once: a figure takes a copy, and to make it anew is half of what an empty figure costs.
    """
    ink = INKS[theme]
    axis = {
        "gridcolor": ink.grid,
        "linecolor": ink.line,
        "showline": True,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": ink.line,
        "tickfont": {"color": ink.muted, "size": 12},
        "title": {"font": {"color": ink.muted, "size": 13}, "standoff": 8},
        "automargin": True,
    }
    return go.layout.Template(
        # Of `write_in_cells`: plotly would count the letters of its markup too.
        data={"heatmap": [{"textfont": {"size": 11}}]},
        layout={
            "font": {"family": FONT, "size": 13, "color": ink.text},
            "title": {
                "font": {"size": 16, "weight": 600},
                "subtitle": {"font": {"size": 13, "color": ink.muted}},
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "pad": {"t": 6},
            },
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 8, "r": 8, "b": 8},
            "xaxis": axis,
            "yaxis": axis,
            "legend": {
                "orientation": "h",
                "x": 0,
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
                "font": {"size": 13},
                "itemsizing": "trace",
                "tracegroupgap": 4,
            },
            "colorscale": {"diverging": _DIVERGING[theme]},
            "coloraxis": {
                "colorscale": FRACTION_SCALE,
                "colorbar": {
                    "thickness": 12,
                    "outlinewidth": 0,
                    "ticks": "outside",
                    "tickcolor": ink.line,
                    "ticklen": 4,
                    "tickfont": {"color": ink.muted, "size": 12},
                    "title": {"font": {"color": ink.muted, "size": 13}, "side": "right"},
                },
            },
            "hoverlabel": {
                "bgcolor": ink.surface,
                "bordercolor": ink.line,
                "font": {"family": FONT, "size": 13, "color": ink.text},
                "align": "left",
                "namelength": -1,
            },
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": ink.muted, "activecolor": ink.text},
        },
    )


def new_figure(title: str, subtitle: str, *, height: int = 360) -> go.Figure:
    """A figure with nothing drawn yet; the subtitle names quantity, unit and scope."""
    return dress(go.Figure(), title, subtitle, height=height)


def dress(figure: go.Figure, title: str, subtitle: str, *, height: int) -> go.Figure:
    """Give a figure template, title and room for it; the annotations that it has already are titles of its panels."""
    panel_titles = [note.text.count("<br>") for note in figure.layout.annotations]
    top = 60 + 18 * subtitle.count("<br>") + (24 + 16 * max(panel_titles) if panel_titles else 0)
    figure.update_layout(template=template(LIGHT), title=_title(title, subtitle), height=height, margin_t=top)
    figure.update_annotations(font_size=13)
    return figure


# Of more lines than these figures stand below one another.
MOST_SIDE_BY_SIDE = 8
# Pixels of a figure that has the page to itself, at least, and of its horizontal axes then, when it is saved too; of
# those of half the page, of a letter, and of a row of a legend and what stands beside a name in it.
PAGE_PIXELS, _AXIS, _HALF_AXIS, LETTER_PIXELS, _LEGEND_ROW, _LEGEND_MARK = 780, 700, 330, 6.7, 24, 52
# Part of the axis's length that plotly leaves between columns of a legend.
_LEGEND_GAP = 0.015


def tabulate_legend(figure: go.Figure, *, wide: bool = True) -> None:
    """Set the legend of runs as a table in which a click hides a line, and let the figure grow by its rows.

    A legend group has one entry, its first trace's. What all runs share of task, method and level stands once above the
    entries, and not in each.

    Parameters
    ----------
    figure
        Of a height that has no room for a legend yet.
    wide
        Whether it has the width of the page, or half of that.
    """
    first: dict[str, Any] = {}
    for trace in figure.data:
        if trace.showlegend is not False:
            trace.showlegend = first.setdefault(trace.legendgroup or trace.name, trace) is trace
    entries = list(first.values())
    names = [trace.name.split(" · ") for trace in entries]
    shared = [
        place for place in range(3) if len(names) > 1 and len({tuple(name[place : place + 1]) for name in names}) == 1
    ]
    title = " · ".join(part for place in shared for part in names[0][place : place + 1])
    for trace, name in zip(entries, names, strict=True):
        trace.name = " · ".join(part for place, part in enumerate(name) if place not in shared) or trace.name
    column = _LEGEND_MARK + LETTER_PIXELS * max((len(trace.name) for trace in entries), default=0)
    columns = max(1, min(len(entries), int((_AXIS if wide else _HALF_AXIS) / column)))
    rows = -(-len(entries) // columns) + (title != "")
    figure.update_layout(
        legend={"title": {"text": title, "side": "top", "font": {"size": 13}}, "maxheight": 1},
        height=figure.layout.height + _LEGEND_ROW * rows,
    )
    if columns < len(entries):
        # In pixels a narrower page would have fewer columns, and rows that the figure has no room for.
        figure.update_layout(legend_entrywidthmode="fraction", legend_entrywidth=1 / columns - _LEGEND_GAP)


def shortened(name: str, letters: int = 50) -> str:
    """A name beside an axis or above a panel, without its middle where it is longer: its end says the seed."""
    end = letters // 3
    return name if len(name) <= letters else f"{name[: letters - end - 1]}…{name[-end:]}"


def as_text(form: str, *values: Iterable[float], unknown: str = "not known") -> list[str]:
    """Numbers side by side as text for hovers, where plotly would print what is not known (NaN) as 0."""
    rows = zip(*values, strict=True)
    return [unknown if any(value != value for value in row) else form.format(*row) for row in rows]


_TYPES_PER_ROW = 4


def type_panels() -> go.Figure:
    """A panel for all matrices and one for each matrix type, on the same axes.

    The overall panel stands alone in front, the attention types above the feed-forward ones.
    """
    return make_subplots(
        rows=2,
        cols=_TYPES_PER_ROW,
        shared_xaxes="all",
        shared_yaxes="all",
        horizontal_spacing=0.02,
        vertical_spacing=0.14,
        subplot_titles=list(MATRIX_TITLES.values()),
    )


def panel_of(kind: str) -> dict[str, Any]:
    """Where `type_panels` has a matrix type, or "all"."""
    row, column = divmod(list(MATRIX_TITLES).index(kind), _TYPES_PER_ROW)
    return {"row": row + 1, "col": column + 1}


def name_panel_axes(figure: go.Figure, x: str, y: str) -> None:
    """Axis titles at the left of `type_panels`, and below whatever has no panel below it."""
    figure.update_xaxes(showticklabels=True)
    figure.update_xaxes(title_text=x, row=2)
    figure.update_xaxes(title_text=x, row=1, col=_TYPES_PER_ROW)
    figure.update_yaxes(title_text=y, col=1)


def _title(title: str, subtitle: str) -> dict[str, Any]:
    return {"text": title, "subtitle": {"text": subtitle}}


# Button of a figure that plays -> milliseconds a frame.
_SPEEDS = {"Play": 400, "Slowly": 1200}
_BUTTONS = {"bgcolor": "#E6EBF0", "bordercolor": "#9AA5AE", "font": {"color": "#1F2933", "size": 12}}


def add_play(
    figure: go.Figure,
    frames: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    below: int,
    heights: Sequence[float] | None = None,
    moving: Sequence[int] | None = None,
) -> None:
    """Let a figure play: drawn in the browser, at a speed that is chosen there, without a way to the server.

    Parameters
    ----------
    figure
        Shows one of the frames; nothing is added where there is no other.
    frames
        Subtitle -> what changes of each trace that moves, in their order.
    below
        Pixels between the lowest axis and the buttons.
    heights
        Upper end of the vertical axes in each frame, where it changes.
    moving
        Places of the traces that move; None for all.
    """
    if len(frames) < 2:
        return
    title = figure.layout.title.text
    axes = [axis for axis in figure.layout if axis.startswith("yaxis")]
    places = list(range(len(figure.data)) if moving is None else moving)
    figure.frames = [
        {
            "name": str(number),
            "data": [
                {"type": figure.data[place].type, **change} for place, change in zip(places, changes, strict=True)
            ],
            "traces": places,
            "layout": {"title": _title(title, subtitle)}
            | ({} if heights is None else {axis: {"range": [0, heights[number]]} for axis in axes}),
        }
        for number, (subtitle, changes) in enumerate(frames.items())
    ]
    buttons = [*(to_frames(label, None, pause) for label, pause in _SPEEDS.items()), to_frames("Stop", [None])]
    figure.update_layout(updatemenus=[menu_of(buttons, x=1, xanchor="right", pad={"t": below}, **_BUTTONS)])


def to_frames(label: str, frames: Sequence[str | None] | None, milliseconds: int = 0) -> dict[str, Any]:
    """What plays these frames at once, so long each: all if None, and it stops if [None]."""
    how = {"mode": "immediate", "transition": {"duration": 0}, "frame": {"duration": milliseconds}}
    return {"label": label, "method": "animate", "args": [frames, how]}


def menu_of(buttons: Sequence[Mapping[str, Any]], **look: Any) -> dict[str, Any]:
    """Buttons below the axes, in a row."""
    how = {"type": "buttons", "direction": "left", "showactive": False, "y": 0, "yanchor": "top"}
    return {**how, "buttons": buttons, **look}


def settled(figure: go.Figure | dict[str, Any], factor: float = 1) -> dict[str, Any]:
    """The plain form of a figure with its template written out and its arrays as lists, as many times larger.

    The figure is one of plotly's, or plain tables with the template in their layout.

    Streamlit hands a figure to plotly twice, and the second copy has objects of its own. Where one of them is a
    template or a typed array plotly draws all again; of numbers, text and lists it sees that they are the same.
    """
    template = figure["layout"]["template"]
    if not isinstance(figure, dict):
        traces, frames = ([part.to_plotly_json() for part in parts] for parts in (figure.data, figure.frames))
        figure = {"data": traces, "layout": figure.layout.to_plotly_json(), "frames": frames}
    layout = {name: part for name, part in figure["layout"].items() if name != "template"}
    known, usual = (part.to_plotly_json() for part in (template.layout, template.data))
    axes = {kind: known.pop(kind) for kind in ("xaxis", "yaxis")}
    layout = {name: _over(axes.get(name[:5], {}), part) for name, part in _over(known, layout).items()}
    form = {
        "data": [
            _with_arrays(_over(usual.get(trace["type"], [{}])[0], trace), np.ndarray.tolist) for trace in figure["data"]
        ],
        "layout": {**layout, "datarevision": 1},
        "frames": _with_arrays(figure["frames"], _coded),
    }
    return form if factor == 1 else _enlarged(form, factor)


def _over(below: Any, above: Any) -> Any:
    """What is above, and what is below where nothing is above it."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{name: _over(below.get(name), part) for name, part in above.items()}}


def _with_arrays(part: Any, written: Callable[[npt.NDArray[Any]], Any]) -> Any:
    if isinstance(part, dict):
        return {name: _with_arrays(inner, written) for name, inner in part.items()}
    if isinstance(part, (list, tuple)):
        return [_with_arrays(inner, written) for inner in part]
    return written(part) if isinstance(part, np.ndarray) else part


def _coded(array: npt.NDArray[Any]) -> Any:
    """An array as plotly.js reads it from text, which is shorter than a list; of kinds that it knows."""
    if array.size == 0 or array.dtype not in (np.uint8, np.float32, np.float64):
        return array.tolist()
    code = base64.b64encode(array.tobytes()).decode()
    return {"dtype": array.dtype.str[1:], "bdata": code, "shape": ", ".join(map(str, array.shape))}


# What plotly measures in pixels; widths are so of lines alone, of bars they are in the units of the axis.
_PIXELS = frozenset({"size", "height", "thickness", "ticklen", "standoff", "xshift", "yshift", *"lrtb"})


def enlarge(figure: go.Figure, factor: float) -> go.Figure:
    """The figure as many times larger, type and lines and all, for a place that is as many times wider."""
    parts = _enlarged(figure.to_dict(), factor)
    larger = go.Figure(parts)
    # A figure without a template would get plotly's own.
    larger.layout.template = parts["layout"].get("template")
    return larger


def _enlarged(part: Any, factor: float, name: str = "", within: str = "") -> Any:
    if isinstance(part, dict):
        return {key: _enlarged(value, factor, key, name) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_enlarged(entry, factor, "", name) for entry in part]
    if part is not None and (name in _PIXELS or (name == "width" and within == "line")):
        return factor * part
    return part


# On every machine, or with a stand-in of the same widths: what was laid out with one is not cut with the other.
SAFE_FONT = "Arial, Helvetica, 'Liberation Sans', Arimo, sans-serif"
POINTS_PER_CM = 72 / 2.54
PIXELS_PER_CM = 96 / 2.54
_PRINT_MARGIN = 16
_LETTERS_PER_PIXEL = {"title": 1 / 9.0, "subtitle": 1 / 6.8}


def for_print(figure: go.Figure, width: float) -> go.Figure:
    """The figure for a file: light ink on white, fonts that are everywhere, margins, nothing to press.

    Parameters
    ----------
    figure
        From a function of `smp_lab.figures`; it is not changed.
    width
        Of the layout, in pixels. The file has its size from the exporter, which scales all of it.
    """
    # Not by way of a dictionary, in which numbers are text.
    copy = go.Figure(data=figure.data, layout=figure.layout)
    copy.layout.updatemenus = ()
    title, subtitle = (
        _wrapped(text or "", int((width - 2 * _PRINT_MARGIN) * _LETTERS_PER_PIXEL[kind]))
        for kind, text in (("title", figure.layout.title.text), ("subtitle", figure.layout.title.subtitle.text))
    )
    lines = (title + subtitle).count("<br>") - (figure.layout.title.subtitle.text or "").count("<br>")
    height = (figure.layout.height or 360) + 20 * lines + 2 * _PRINT_MARGIN
    margin = figure.layout.margin
    copy.update_layout(
        template=template(LIGHT),
        width=width,
        height=height,
        paper_bgcolor="#FFFFFF",
        plot_bgcolor="#FFFFFF",
        font_family=SAFE_FONT,
        hoverlabel_font_family=SAFE_FONT,
        margin={
            "l": _PRINT_MARGIN,
            "r": _PRINT_MARGIN,
            "t": margin.t + 20 * lines + _PRINT_MARGIN,
            "b": (margin.b or template(LIGHT).layout.margin.b) + _PRINT_MARGIN,
        },
        title=_title(title, subtitle) | {"x": _PRINT_MARGIN / width, "pad": {"t": _PRINT_MARGIN}},
        legend_y=_PRINT_MARGIN / height,
    )
    write_in_cells(copy)
    return copy


def _wrapped(text: str, letters: int) -> str:
    """Lines of at most so many letters."""
    return "<br>".join(part for line in text.split("<br>") for part in textwrap.wrap(line, letters) or [""])


def as_cells(figure: go.Figure, **colors: Any) -> None:
    """Finish a figure of heat maps whose cells stand apart: one axis of colours for all, no lines, words in cells."""
    figure.update_traces({"coloraxis": "coloraxis", "xgap": 1, "ygap": 1}, selector={"type": "heatmap"})
    figure.update_layout(coloraxis=colors)
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(showgrid=False, showline=False)
    write_in_cells(figure)


def name_rows(figure: go.Figure, names: Sequence[str], **place: int) -> None:
    """Write names beside rows one unit high, the first at the top."""
    n, bare = len(names), {"showgrid": False, "showline": False, "ticks": ""}
    figure.update_yaxes(tickvals=list(range(n)), ticktext=names, range=[n - 0.5, -0.5], **bare, **place)


def write_in_cells(figure: go.Figure) -> None:
    """Write on each cell of the heat maps, and of their frames, what its hovertext says, in black or in white.

    Plotly's own dark grey is fainter on middle colours than small type may be (4.5 to 1: WCAG 2, 1.4.3). Whatever the
    colour below, black or white is not. To be called again where a figure has got another template.
    """
    axis, known = figure.layout.coloraxis, figure.layout.template.layout
    scale = known.colorscale.diverging if axis.autocolorscale else known.coloraxis.colorscale
    colors = scale, axis.cmin, axis.cmax
    for place, trace in enumerate(figure.data):
        if trace.type == "heatmap" and trace.hovertext is not None:
            trace.update(text=_inked(trace.z, trace.hovertext, *colors), texttemplate="%{text}")
            for frame in figure.frames:
                now = frame.data[frame.traces.index(place)]
                now.text = _inked(now.z, now.hovertext, *colors)


def ink_on(colors: npt.NDArray[np.floating]) -> npt.NDArray[np.str_]:
    """Black or white, whichever stands out more from colours ``(..., 3)`` in 0 to 1; the ratio is 4.58 at least."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    # Where both ratios of WCAG 2 are the same: 1.05 / (L + 0.05) and (L + 0.05) / 0.05.
    return np.where(linear @ [0.2126, 0.7152, 0.0722] > (1.05 * 0.05) ** 0.5 - 0.05, "#000000", "#FFFFFF")


def _inked(z: Any, words: Any, scale: Any, low: float, high: float) -> list[list[str]]:
    places, colors = zip(*scale, strict=True)
    stops, _ = convert_colors_to_same_type(colors, colortype="tuple")
    values = np.asarray(z, np.float64)
    along = np.clip((values - low) / (high - low or 1), 0, 1)
    inks = ink_on(np.stack([np.interp(along, places, channel) for channel in np.transpose(stops)], axis=-1))
    return [
        [f'<span style="color:{ink}">{word}</span>' if word else "" for ink, word in zip(*row, strict=True)]
        for row in zip(inks, words, strict=True)
    ]


def empty_figure(title: str, sentence: str) -> go.Figure:
    """The figure of an empty table: its title, and a sentence in place of data."""
    figure = new_figure(title, "", height=200)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(text=sentence, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return figure


def frame_cell(figure: go.Figure, x: int, y: int, side: int = 1, **subplot: int) -> None:
    """Mark a cell of a heat map, or a square from it on; `subplot` is its row and col, if there are several."""
    cell = {"x0": x - 0.5, "x1": x + side - 0.5, "y0": y - 0.5, "y1": y + side - 0.5}
    for line in _FRAME:
        figure.add_shape(cell, type="rect", line=line, **subplot)


def line_marks(table: pd.DataFrame, color_by: str, size: float | None = None) -> dict[Any, dict[str, Any]]:
    """Line and marker of every run of a table: colour, dash and symbol say what differs among the runs, in this order.

    Parameters
    ----------
    table
        Columns run (a label), task, method and level (the fraction it was asked to keep, or NaN).
    color_by
        One of `LINE_COLOR_BY`: what the colours say; `DIFFERENCE` for the first of the others that differs.
    size
        Of all markers; None for larger ones on thicker lines.

    Returns
    -------
    dict
        Run -> ``line`` and ``marker`` of a scatter trace. Fewer weights have a thinner line.
    """
    runs = table.drop_duplicates("run").reset_index(drop=True)
    alike = runs.groupby([TASK, METHOD, LEVEL], dropna=False)
    numbers = {
        TASK: pd.factorize(runs[TASK])[0],
        METHOD: pd.factorize(runs[METHOD])[0],
        # The most weights first, and last what was not asked for a fraction.
        LEVEL: pd.factorize(-runs[LEVEL], sort=True, use_na_sentinel=False)[0],
        RUN: alike.cumcount().to_numpy(),
    }
    differing = [name for name, number in numbers.items() if number.max(initial=0) > 0]
    color = next(iter(differing), TASK) if color_by == DIFFERENCE else color_by
    dash, symbol = [*(name for name in differing if name != color), METHOD, METHOD][:2]
    marks = {}
    for place, run in enumerate(runs.to_dict("records")):
        paint = {
            TASK: TASK_COLORS[run[TASK]],
            METHOD: METHOD_COLORS[run[METHOD]],
            LEVEL: _level_color(run[LEVEL]),
            RUN: _RUN_COLORS[place % len(_RUN_COLORS)],
        }[color]
        width = 2.25 if pd.isna(run[LEVEL]) else next(pixels for least, pixels in _WIDTHS if run[LEVEL] >= least)
        dashes = METHOD_DASHES[run[METHOD]] if dash == METHOD else _DASHES[numbers[dash][place] % len(_DASHES)]
        symbols = METHOD_SYMBOLS[run[METHOD]] if symbol == METHOD else _SYMBOLS[numbers[symbol][place] % len(_SYMBOLS)]
        marks[run["run"]] = {
            "line": {"color": paint, "dash": dashes, "width": width},
            "marker": {"color": paint, "symbol": symbols, "size": size or 4 + width},
        }
    return marks


def _level_color(level: float) -> str:
    """The same for a level in every figure, along a scale that holds on both pages."""
    if pd.isna(level):
        return _NEUTRAL_COLOR
    return str(sample_colorscale("Plasma", 0.2 + 0.55 * level**0.5, colortype="rgb")[0])


def add_lines(
    figure: go.Figure,
    table: pd.DataFrame,
    x: str,
    y: str,
    marks: Mapping[Any, Mapping[str, Any]],
    hover: str,
    *,
    factor: float = 1,
    facts: Sequence[str] = (),
    mode: str = "lines+markers",
    **place: int,
) -> None:
    """A line per run; where it is the mean of several seeds, before a band from the lowest of them to the highest.

    Parameters
    ----------
    table
        With the column run; for bands of `analysis.replicates.along_lines`.
    x, y, facts
        Columns; `hover` has the last as customdata.
    marks
        Of `line_marks`.
    factor
        Of y.
    """
    for run, line in table.groupby("run", sort=False):
        if "n_seeds" in line and line["n_seeds"].max() > 1:
            figure.add_scatter(
                x=[*line[x], *line[x][::-1]],
                y=[*factor * line[f"{y}_highest"], *factor * line[f"{y}_lowest"][::-1]],
                mode="lines",
                line={"width": 0, "color": marks[run]["line"]["color"]},
                fill="toself",
                opacity=0.25,
                hoverinfo="skip",
                legendgroup=run,
                showlegend=False,
                **place,
            )
        figure.add_scatter(
            x=line[x],
            y=factor * line[y],
            customdata=line[list(facts)] if facts else None,
            mode=mode,
            name=run,
            legendgroup=run,
            hovertemplate=hover,
            **marks[run],
            **place,
        )
