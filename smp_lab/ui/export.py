"""A figure as a file for a paper or a slide: PDF, SVG or PNG, as wide as it is printed, and the words to go with it."""

from __future__ import annotations

import re
from importlib.util import find_spec

import plotly.graph_objects as go
import streamlit as st

from smp_lab import __version__
from smp_lab.figures import style

_MIME = {"pdf": "application/pdf", "svg": "image/svg+xml", "png": "image/png"}
_LEAST_PIXELS = 520
_DOTS_PER_INCH = 300
_CITATION = (
    f"Figure: SMP Lab {__version__}. Method: Jiang et al., Pruning Pre-trained Language Models Without Fine-Tuning, "
    "ACL 2023, https://aclanthology.org/2023.acl-long.35/"
)


@st.dialog("Save this figure", width="large")
def dialog(figure: go.Figure, key: str, caption: str, least_width: int | None) -> None:
    """Ask for width and format, and give the file, named by `key`, a caption and a citation.

    The caption says in a sentence what the figure shows; `least_width` is the pixels that its layout needs.
    """
    left, right = st.columns(2)
    width = left.number_input(
        "Width (cm)",
        4.0,
        60.0,
        16.0,
        0.1,
        key="export-width",
        help="In ACL's style a column is 7.7 cm wide, two are 16.",
    )
    pixels = max(least_width or 0, _LEAST_PIXELS, round(width * style.PIXELS_PER_CM))
    printed = style.for_print(figure, pixels)
    points = 13 * width * style.POINTS_PER_CM / pixels
    with right:
        st.caption(
            f"Light ink on white, type of {points:.1f} pt."
            + (" That is small: choose a greater width." if points < 6 else "")
        )
    if find_spec("kaleido"):
        kind = st.segmented_control(
            "Format", list(_MIME), default="pdf", required=True, key="export-format", format_func=str.upper
        )
        st.download_button(
            f"Save {kind.upper()}",
            data=lambda: image(printed, kind, width),
            file_name=f"{key}.{kind}",
            mime=_MIME[kind],
            on_click="ignore",
            key="export-save",
            icon=":material/download:",
        )
    else:
        st.iframe(page(printed, width, key), height=620)
    st.markdown("Caption")
    st.code(_caption(figure, caption), language=None, wrap_lines=True)
    st.markdown("Citation")
    st.code(_CITATION, language=None, wrap_lines=True)


def image(figure: go.Figure, kind: str, width: float) -> bytes:
    """What plotly's own exporter (kaleido) makes of a figure of `style.for_print`, so many centimetres wide."""
    scale = width * style.PIXELS_PER_CM / figure.layout.width
    if kind == "png":
        return bytes(figure.to_image(kind, scale=width / 2.54 * _DOTS_PER_INCH / figure.layout.width))
    if kind == "pdf":
        return bytes(figure.to_image(kind, scale=scale))
    return in_centimetres(figure.to_image("svg").decode(), width).encode()


def in_centimetres(svg: str, width: float) -> str:
    """An SVG of pixels as one that is so many centimetres wide; the first width and height in it are its own."""
    size = re.compile(r'\b(width|height)="([\d.]+)"')
    pixels = float(dict(size.findall(svg)[:2])["width"])
    return size.sub(lambda found: f'{found[1]}="{float(found[2]) * width / pixels:.3f}cm"', svg, count=2)


def page(figure: go.Figure, width: float, key: str) -> str:
    """A page that shows a figure and saves it in the browser, where no exporter is installed; PDF by its printer."""
    plot = figure.to_html(full_html=False, include_plotlyjs=True, div_id="figure", config={"staticPlot": True})
    pixels, height = figure.layout.width, figure.layout.height
    png_scale = width / 2.54 * _DOTS_PER_INCH / pixels
    centimetres = width * height / pixels
    return rf"""<!doctype html><meta charset="utf-8"><title>{key}</title>
<style>
body {{margin: 0; font: 14px {style.SAFE_FONT}; background: #fff; color: #1F2933}}
button {{font: inherit; padding: 4px 12px; margin: 8px 4px 8px 0}}
@page {{size: {width}cm {centimetres:.3f}cm; margin: 0}}
/* A page that is wider than its paper would be shrunk once more. */
@media print {{
  nav {{display: none}}
  html {{overflow: hidden}}
  body {{width: {width}cm; height: {centimetres:.3f}cm; overflow: hidden}}
  #figure {{transform: scale({width * style.PIXELS_PER_CM / pixels:.5f}); transform-origin: 0 0}}
}}
</style>
<nav><button onclick="save('svg')">Save SVG</button><button onclick="save('png')">Save PNG</button
><button onclick="print()">Save PDF (by printing)</button></nav>
{plot}
<script>
const size = {{width: {pixels}, height: {height}}};
async function picture(kind) {{
  const data = await Plotly.toImage('figure', {{format: kind, ...size, scale: kind === 'png' ? {png_scale:.5f} : 1}});
  if (kind === 'png') return data;
  const svg = decodeURIComponent(data.slice(data.indexOf(',') + 1)).replace(/ width="[\d.]+"/, ' width="{width}cm"')
    .replace(/ height="[\d.]+"/, ' height="{centimetres:.3f}cm"');
  return 'data:image/svg+xml,' + encodeURIComponent(svg);
}}
async function save(kind) {{
  const link = document.createElement('a');
  link.href = await picture(kind);
  link.download = '{key}.' + kind;
  link.click();
}}
</script>"""


def _caption(figure: go.Figure, caption: str) -> str:
    title = figure.layout.title
    subtitle = re.sub(r"<[^>]+>", "; ", title.subtitle.text or "")
    return f"{title.text}. {subtitle}. {caption}"
