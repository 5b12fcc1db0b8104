import math
from xml.etree import ElementTree

import pandas as pd
import pytest

from smp_lab.figures.overview import draw_icon, draw_method, plot_answer
from smp_lab.figures.style import INKS

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("theme", INKS)
def test_drawing_is_svg_in_the_ink_of_the_theme(theme):
    root = ElementTree.fromstring(draw_method(theme))
    assert root.tag == f"{SVG}svg"
    assert root.get("color") == INKS[theme].text
    assert len(root.findall(f"{SVG}rect")) == 4 * 36


def test_drawn_product_is_weights_times_mask():
    cells = ElementTree.fromstring(draw_method("light")).findall(f"{SVG}rect")
    opacity = [float(cell.get("fill-opacity")) for cell in cells]
    scores, mask, weights, product = (opacity[start : start + 36] for start in range(0, 144, 36))
    kept = [bit == max(mask) for bit in mask]
    assert sum(kept) == 11
    assert min(score for score, keep in zip(scores, kept, strict=True) if keep) >= max(
        score for score, keep in zip(scores, kept, strict=True) if not keep
    )
    assert product == [weight if keep else min(mask) for weight, keep in zip(weights, kept, strict=True)]


def test_icon_is_transparent_where_nothing_is_kept():
    icon = draw_icon()
    assert icon.size == (64, 64)
    assert icon.getpixel((8, 8))[3] == 255
    assert icon.getpixel((24, 8))[3] == 0


ANSWER = pd.DataFrame(
    [
        ("smp_s", 0.1, 0.60, 0.58, 0.62, 2, 3),
        ("smp_s", 0.5, 0.67, math.nan, math.nan, 2, 1),
        ("magnitude", 0.1, 0.5, math.nan, math.nan, 2, 1),
        ("dense", 1.0, 0.66, 0.65, 0.67, 2, 2),
    ],
    columns=["method", "remaining", "mean", "lowest", "highest", "n_tasks", "n_seeds"],
).assign(base_model="small", base_model_sha256="a")


def test_answer_has_a_line_per_method_and_a_band_where_there_are_seeds():
    figure = plot_answer(ANSWER)
    lines = {trace.name: list(trace.y) for trace in figure.data}
    assert lines == {"SMP-S": [60, 67], "Magnitude pruning": [50], "Dense fine-tuning": [66, 66]}
    band = figure.data[0].error_y
    assert (list(band.array), list(band.arrayminus)) == (pytest.approx([2, math.nan], nan_ok=True),) * 2
    assert {annotation.text for annotation in figure.layout.annotations} == {
        "SMP-S",
        "Magnitude pruning",
        "All weights fine-tuned",
    }


def test_each_encoder_has_a_panel_that_says_of_how_many_tasks_it_is():
    other = ANSWER.assign(base_model="large", base_model_sha256="b", mean=0.9, n_tasks=1)
    figure = plot_answer(pd.concat([ANSWER, other]))
    assert [annotation.text for annotation in figure.layout.annotations][:2] == ["small, 2 tasks", "large, 1 task"]
    lines = {trace.xaxis: list(trace.y) for trace in figure.data if trace.name == "SMP-S"}
    assert lines == {"x": [60, 67], "x2": [90, 90]}


def test_a_mask_that_keeps_nothing_is_left_out():
    nothing = ANSWER[:1].assign(method="random", remaining=0.0)
    assert plot_answer(pd.concat([ANSWER, nothing])) == plot_answer(ANSWER)
    assert "no level with every task" in plot_answer(nothing).layout.annotations[0].text


def test_names_of_lines_that_begin_together_stand_above_one_another():
    together = ANSWER.assign(mean=ANSWER["mean"].where(ANSWER["remaining"] != 0.1, 0.0))
    (one, other) = (a for a in plot_answer(together).layout.annotations if a.text != "All weights fine-tuned")
    assert one.y == other.y == 0 and abs(one.yshift - other.yshift) >= 15
    apart = [a for a in plot_answer(ANSWER).layout.annotations if a.text != "All weights fine-tuned"]
    assert [a.yshift for a in apart] == [0, 0]
