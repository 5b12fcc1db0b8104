import itertools
import json
import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.colors import sample_colorscale

from smp_lab.figures import style
from smp_lab.methods import METHODS
from smp_lab.storage.published import METHOD_TITLES
from smp_lab.tasks import BUILT_IN, TASKS

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
# sRGB to CIE XYZ at D65, IEC 61966-2-1.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color):
    rgb = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(color, vision):
    xyz = TO_XYZ @ np.clip(np.array(VISIONS[vision]) @ linear(color), 0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one, other):
    light, dark = sorted((TO_XYZ[1] @ linear(one), TO_XYZ[1] @ linear(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TWO = [("there", 1), ("back", -1)]


def sampled(scale, places):
    """Colours as plotly's own Python has them, ``(n, 3)`` in 0 to 1."""
    return np.array(sample_colorscale(scale, places, colortype="tuple"))


def test_every_task_and_method_has_its_colour():
    assert set(style.TASK_COLORS) == set(BUILT_IN)
    assert set(style.METHOD_COLORS) == set(style.METHOD_SYMBOLS) == set(style.METHOD_DASHES)
    assert set(style.METHOD_COLORS) >= set(METHODS) | set(METHOD_TITLES)


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_differ_for_colour_visions(vision):
    glue = {task: color for task, color in style.TASK_COLORS.items() if not TASKS[task].synthetic}
    for colors in (glue, style.METHOD_COLORS):
        pairs = itertools.combinations(colors, 2)
        distance = {pair: np.linalg.norm(np.subtract(*(lab(colors[name], vision) for name in pair))) for pair in pairs}
        closest = min(distance, key=distance.__getitem__)
        # A just noticeable difference is about 2.3.
        assert distance[closest] > 15, (closest, distance[closest])


def test_no_two_methods_are_shades_of_one_hue():
    colored = [
        (a, b) for _, a, b in (lab(color, "normal") for color in style.METHOD_COLORS.values()) if a**2 + b**2 > 400
    ]
    hues = sorted(np.degrees(np.arctan2(b, a)) % 360 for a, b in colored)
    assert len(hues) > 10
    assert np.diff([*hues, hues[0] + 360]).min() > 15


@pytest.mark.parametrize("background", ["#FFFFFF", "#12161B"])
def test_colours_stand_out_from_both_pages(background):
    for color in (*style.TASK_COLORS.values(), *style.METHOD_COLORS.values()):
        assert contrast(color, background) > 2.1


@pytest.mark.parametrize(("theme", "background"), [(style.LIGHT, "#FFFFFF"), (style.DARK, "#12161B")])
def test_text_is_readable_on_its_page(theme, background):
    ink = style.INKS[theme]
    assert contrast(ink.text, background) > 7
    assert contrast(ink.muted, background) > 4.5


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK])
@pytest.mark.parametrize("axis", [{"autocolorscale": True}, {}])
def test_numbers_stand_out_from_every_colour_of_a_heat_map(theme, axis):
    values = np.linspace(-1, 1, 257)
    figure = style.new_figure("A title", "In a unit")
    figure.add_heatmap(z=[values], hovertext=[[f"{value:.2f}" for value in values]], coloraxis="coloraxis")
    now = {"hovertext": [["now"] * 257]}
    style.add_play(figure, {name: [{"z": [sign * values], **now}] for name, sign in TWO}, below=9)
    figure.update_layout(template=style.template(theme), coloraxis=axis | {"cmin": -1, "cmax": 1})
    style.write_in_cells(figure)
    known = figure.layout.template.layout
    even = [color for _, color in known.colorscale.diverging]
    scale = even if "autocolorscale" in axis else style.FRACTION_SCALE
    cells = [f"#{''.join(f'{round(255 * part):02x}' for part in rgb)}" for rgb in sampled(scale, (values + 1) / 2)]
    shown, there, back = figure.data[0], *(frame.data[0] for frame in figure.frames)
    for trace, word, below in [(shown, "-1.00", cells), (there, "now", cells), (back, "now", cells[::-1])]:
        written = [re.fullmatch('<span style="color:(#.{6})">(.+)</span>', each).groups() for each in trace.text[0]]
        assert written[0][1] == word
        assert min(contrast(ink, color) for (ink, _), color in zip(written, below, strict=True)) >= 4.5


def test_an_empty_cell_has_nothing_written_on_it():
    figure = style.new_figure("A title", "In a unit")
    figure.add_heatmap(z=[[np.nan, 1]], hovertext=[["", "1"]])
    style.as_cells(figure, cmin=0, cmax=1)
    assert list(figure.data[0].text[0]) == ["", '<span style="color:#000000">1</span>']


def marks(*runs, color_by=style.DIFFERENCE):
    """Of runs that differ from the first in what is named; as a list."""
    usual = {"task": "rte", "method": "smp_s", "level": 0.1}
    table = pd.DataFrame([usual | {"run": str(place)} | changes for place, changes in enumerate(runs)])
    return list(style.line_marks(table, color_by).values())


def differing(*runs, **settings):
    """How many colours, dashes and symbols the runs have."""
    found = marks(*runs, **settings)
    return {
        "color": len({each["line"]["color"] for each in found}),
        "dash": len({each["line"]["dash"] for each in found}),
        "symbol": len({each["marker"]["symbol"] for each in found}),
    }


@pytest.mark.parametrize("color_by", style.LINE_COLOR_BY)
def test_one_run_looks_as_its_task_or_method_does(color_by):
    (alone,) = marks({}, color_by=color_by)
    assert alone["line"]["dash"] == style.METHOD_DASHES["smp_s"]
    assert alone["marker"]["symbol"] == style.METHOD_SYMBOLS["smp_s"]
    known = {style.TASK: style.TASK_COLORS["rte"], style.METHOD: style.METHOD_COLORS["smp_s"]}
    assert alone["line"]["color"] == known.get(color_by, alone["line"]["color"]) == alone["marker"]["color"]


def test_colour_says_what_differs_first_and_dash_what_differs_next():
    levels = [{"level": level} for level in (0.5, 0.3, 0.1, 0.03)]
    assert differing(*levels) == {"color": 4, "dash": 1, "symbol": 1}
    assert differing(*({"method": name} for name in ("smp_s", "smp_l", "l0"))) == {"color": 3, "dash": 3, "symbol": 3}
    # Eight runs of one task that nothing else sets apart.
    assert differing(*[{}] * 8) == {"color": 8, "dash": 1, "symbol": 1}
    two_tasks = [{"task": task, **level} for task in ("rte", "cola") for level in levels]
    assert differing(*two_tasks) == {"color": 2, "dash": 4, "symbol": 1}
    assert differing(*two_tasks, color_by=style.LEVEL) == {"color": 4, "dash": 2, "symbol": 1}
    everything = [{"method": method, **run} for method in ("smp_s", "smp_l") for run in two_tasks]
    assert differing(*everything) == {"color": 2, "dash": 2, "symbol": 4}


@pytest.mark.parametrize("background", ["#FFFFFF", "#12161B"])
def test_levels_have_colours_of_their_own_that_stand_out(background):
    levels = (0.03, 0.1, 0.3, 0.5, 0.8)
    colors = [one["line"]["color"] for one in marks(*({"level": level} for level in levels), color_by=style.LEVEL)]
    assert len(set(colors)) == len(levels)
    # Whatever else is drawn.
    assert marks({}, color_by=style.LEVEL)[0]["line"]["color"] == colors[1]
    for color in colors:
        red, green, blue = (round(float(part)) for part in color.removeprefix("rgb(").removesuffix(")").split(","))
        assert contrast(f"#{red:02x}{green:02x}{blue:02x}", background) > 2.1
    assert marks({"level": np.nan}, color_by=style.LEVEL)[0]["line"]["color"] == style.REMOVED_COLOR


def test_a_name_without_marks_of_its_own_is_neutral():
    named = (style.TASK_COLORS, style.METHOD_COLORS, style.METHOD_SYMBOLS, style.METHOD_DASHES)
    assert [mark["of-somebody-else"] for mark in named] == [style.REMOVED_COLOR, style.REMOVED_COLOR, "circle", "solid"]


def test_fewer_weights_have_a_thinner_line():
    widths = [one["line"]["width"] for one in marks(*({"level": level} for level in (0.8, 0.5, 0.3, 0.1, 0.03)))]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 4
    assert marks({"level": np.nan})[0]["line"]["width"] > 0


def legend_of(*names, wide=True):
    figure = style.new_figure("A title", "In a unit", height=300)
    for name in names:
        figure.add_scatter(y=[1], name=name)
    style.tabulate_legend(figure, wide=wide)
    return [trace.name for trace in figure.data], figure.layout.legend.title.text, figure.layout


def test_what_all_runs_share_is_said_once():
    assert legend_of("RTE · SMP-S · 10 %", "CoLA · SMP-S · 10 %")[:2] == (["RTE", "CoLA"], "SMP-S · 10 %")
    names = ["RTE · SMP-S · 10 %", "RTE · SMP-S · 10 % · head linear"]
    assert legend_of(*names)[:2] == (["RTE · SMP-S · 10 %", "head linear"], "RTE · SMP-S · 10 %")
    assert legend_of("A", "B")[:2] == (["A", "B"], "")
    assert legend_of("RTE · SMP-S · 10 %")[:2] == (["RTE · SMP-S · 10 %"], "")


def test_a_figure_grows_by_its_legend_and_its_panels_stay():
    heights = [legend_of(*(f"run {place}" for place in range(n)))[2].height for n in (2, 30, 60)]
    assert heights == sorted(set(heights))
    assert legend_of(*(f"run {place}" for place in range(30)), wide=False)[2].height > heights[1]


@pytest.mark.parametrize("wide", [True, False])
def test_a_legend_has_as_many_columns_on_a_page_of_any_width(wide):
    for letters in (5, 35, 120):
        *_, layout = legend_of(*(f"{'n' * letters} {place}" for place in range(44)), wide=wide)
        columns = int(1 / layout.legend.entrywidth)
        assert layout.legend.entrywidthmode == "fraction"
        assert layout.height == 300 + 24 * -(-44 // columns)
        assert style.enlarge(go.Figure(layout=layout), 2).layout.legend.entrywidth == layout.legend.entrywidth


def test_a_long_name_that_runs_share_takes_no_room_from_their_own():
    seeds = [f"Toy acceptability (synthetic) · Magnitude pruning · 10 % · seed {seed}" for seed in range(8)]
    names, title, layout = legend_of(*seeds, wide=False)
    assert (names[0], title) == ("seed 0", "Toy acceptability (synthetic) · Magnitude pruning · 10 %")
    assert (layout.height, layout.legend.title.side) == (300 + 24 * (1 + 3), "top")


def test_an_enlarged_figure_is_the_same_figure_larger():
    figure = style.new_figure("A title", "In a unit", height=300)
    figure.add_scatter(x=[1, 2], y=[3, 4], line={"width": 2}, marker={"size": 5}, customdata=[[7], [8]])
    figure.add_bar(x=[1, 2], y=[3, 4], width=0.85)
    figure.add_annotation(text="a word", font_size=12)
    larger = style.enlarge(figure, 1.5)
    line, bar = larger.data
    assert (larger.layout.height, line.line.width, line.marker.size) == (450, 3, 7.5)
    assert (larger.layout.annotations[0].font.size, larger.layout.template.layout.font.size) == (18, 19.5)
    assert larger.layout.margin.t == 90
    # What is in the units of the data stays, and so does the figure that it was made of.
    assert bar.width == 0.85
    assert [list(line.x), list(line.y)] == [[1, 2], [3, 4]]
    assert larger.layout.title.text == "A title"
    assert figure.layout.height == 300
    assert style.enlarge(figure, 1) == figure


def test_a_settled_figure_looks_the_same_without_template_and_arrays():
    figure = style.new_figure("A title", "", height=300)
    figure.add_scatter(x=np.arange(3.0), y=[3, 4, 5], marker={"color": np.array([0.5, 1, 2])})
    figure.update_layout(xaxis={"range": [0, 9], "tickfont_size": 20}, yaxis2={"side": "right"})
    known = style.template(style.DARK).layout
    figure.update_layout(template=style.template(style.DARK))
    parts = json.loads(json.dumps(style.settled(figure)))
    assert "template" not in parts["layout"]
    assert (parts["data"][0]["x"], parts["data"][0]["marker"]["color"]) == ([0, 1, 2], [0.5, 1, 2])
    # What the figure says stands above what the template says.
    layout = go.Figure(parts).layout
    assert (layout.title.text, layout.title.font.size, layout.height) == ("A title", known.title.font.size, 300)
    assert (layout.xaxis.tickfont.size, layout.xaxis.tickfont.color) == (20, known.xaxis.tickfont.color)
    assert (layout.yaxis2.side, layout.yaxis2.gridcolor) == ("right", known.yaxis.gridcolor)
    assert layout.font.color == known.font.color


def test_a_settled_figure_is_larger():
    figure = style.new_figure("A title", "", height=300).add_scatter(y=[1, 2], marker={"size": 5})
    figure.add_heatmap(z=[[1]])
    parts = style.settled(figure, 2)
    # What the template says of a kind of trace is written out too.
    assert parts["data"][1]["textfont"] == {"size": 22}
    assert (parts["data"][0]["marker"]["size"], parts["layout"]["height"], figure.layout.height) == (10, 600, 300)
    assert "template" not in parts["layout"]


def test_a_figure_for_print_has_light_ink_safe_fonts_and_nothing_to_press():
    figure = style.new_figure("A title of several words that is longer than its figure is wide", "One<br>two")
    figure.update_layout(template=style.template(style.DARK))
    style.add_play(figure.add_scatter(y=[1]), {"a": [{"y": [1]}], "b": [{"y": [2]}]}, below=10)
    printed = style.for_print(figure, 300)
    assert printed.layout.width == 300
    assert printed.layout.template.layout.font.color == style.INKS[style.LIGHT].text
    assert printed.layout.paper_bgcolor == "#FFFFFF"
    assert "Source" not in printed.layout.font.family
    assert not printed.frames
    assert not printed.layout.updatemenus
    assert max(map(len, printed.layout.title.text.split("<br>"))) <= 300 / 9
    assert printed.layout.title.subtitle.text == "One<br>two"
    # Each line that was added has room above the plot, and below nothing is lost.
    assert printed.layout.height > figure.layout.height
    assert figure.layout.updatemenus


def test_plain_tables_settle_as_the_figure_that_they_are_of():
    layout = {"template": style.template(style.LIGHT), "height": 300, "yaxis": {"range": [0, 1]}}
    data = [{"type": "heatmap", "z": np.eye(2, dtype=np.uint8)}, {"type": "scatter", "y": np.arange(2), "xaxis": "x2"}]
    moved = {"type": "heatmap", "z": np.ones((2, 2), np.float32), "x": np.zeros(0)}
    plain = {"data": data, "layout": layout, "frames": [{"name": "a", "data": [moved], "traces": [0]}]}
    parts = style.settled(plain, 2)
    assert parts == style.settled(go.Figure(plain), 2)
    # Frames are as plotly itself writes them; it leaves an empty array to whoever writes the text.
    assert parts["frames"][0]["data"][0].pop("x") == []
    del moved["x"]
    assert parts["frames"] == go.Figure(plain).to_dict()["frames"]
    assert (parts["layout"]["height"], parts["data"][0]["z"]) == (600, [[1, 0], [0, 1]])
