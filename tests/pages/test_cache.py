import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from smp_lab.figures.style import DARK, LIGHT
from smp_lab.ui import cache


@pytest.fixture
def plot():
    """A figure function that counts how often it draws."""

    def plot(table, title):
        plot.times += 1
        return go.Figure(go.Scatter(y=table["value"]), layout_title_text=title)

    plot.times = 0
    cache.figure.clear()
    yield plot
    cache.figure.clear()


def test_a_figure_is_drawn_once_for_what_it_is_made_of(plot):
    table = pd.DataFrame({"value": np.arange(60_000)})
    first = cache.figure(plot, LIGHT, 1, (table, "a"), {})
    assert cache.figure(plot, LIGHT, 1, (table.copy(), "a"), {}) is first
    assert plot.times == 1
    changed = table.copy()
    changed.loc[31_415, "value"] = -1
    assert cache.figure(plot, LIGHT, 1, (changed, "a"), {}).data[0].y[31_415] == -1
    assert cache.figure(plot, LIGHT, 1, (table, "b"), {}).layout.title.text == "b"
    assert cache.figure(plot, LIGHT, 1, (table, "a"), {}).layout.title.text == "a"
    assert plot.times == 3


def test_a_figure_is_drawn_for_each_theme_and_size(plot):
    table = pd.DataFrame({"value": [1.0]})
    light, dark = (cache.figure(plot, theme, 1, (table, "a"), {}) for theme in (LIGHT, DARK))
    assert light.layout.template.layout.font.color != dark.layout.template.layout.font.color
    large = cache.figure(plot, LIGHT, 1.5, (table, "a"), {})
    assert large.layout.template.layout.font.size == 1.5 * light.layout.template.layout.font.size


@pytest.mark.parametrize("kind", [go.Figure, dict])
def test_a_settled_figure_knows_its_height_and_its_caption(kind):
    cache.figure.clear()

    def plot(words):
        return kind(data=[{"type": "scatter", "y": [1, 2]}], layout={"height": 300, "meta": words}, frames=[])

    figure = cache.figure(plot, LIGHT, 2, ("A line.",), {}, settled=True)
    assert (figure.layout.height, figure.layout.meta) == (600, "A line.")
    assert figure.to_dict()["layout"]["height"] == 600
    assert figure.to_dict()["data"][0]["y"] == [1, 2]


def test_a_table_is_computed_once_for_what_it_is_made_of():
    def doubled(table, column):
        doubled.times += 1
        return 2 * table[column]

    doubled.times = 0
    table = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    assert cache.computed(doubled, table, "a").tolist() == [2, 4]
    assert cache.computed(doubled, table.copy(), "a").tolist() == [2, 4]
    assert doubled.times == 1
    assert cache.computed(doubled, table + 1, "a").tolist() == [4, 6]
    assert cache.computed(doubled, table, "b").tolist() == [6, 8]


def test_a_table_has_another_key_for_any_value_type_or_name_in_it():
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    others = [
        table.assign(b=["x", "z"]),
        table.assign(b=["xy", ""]),
        table.assign(a=[1.0, 2.0]),
        table.assign(a=[2, 1]),
        table.rename(columns={"a": "c"}),
        table.set_axis([1, 2]),
        table[["b", "a"]],
        table.iloc[:1],
    ]
    keys = [cache._table_key(each) for each in (table, *others)]
    assert len(set(keys)) == len(keys) and cache._table_key(table.copy()) == keys[0]
