from xml.etree import ElementTree

import pytest

from smp_lab.figures.overview import draw_icon, draw_method
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
