"""What all screens of the lesson share: the way through them, the guess, the picture and the mathematics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import plotly.graph_objects as go
import streamlit as st

from smp_lab.ui import controls, links
from smp_lab.ui.lesson.code import find_code

SCREEN = "screen"
_STEP = "step"

# A screen fits a window of 1280 x 720; on a phone the picture stands below the controls.
_STYLE = """<style>
@media (min-width: 641px) {
    [data-testid=stMainBlockContainer] {padding: 3.75rem 2.5rem 0.5rem}
    [data-testid=stMainBlockContainer] > [data-testid=stVerticalBlock] {gap: 0}
    .st-key-lesson {margin-top: 0.5rem}
}
[data-testid=stMain] .st-key-lesson h1 {padding: 0 0 0.4rem}
.st-key-lesson-words p {max-width: 68rem; font-size: 1.07rem}
.st-key-lesson-head button {min-width: 2.2rem}
.st-key-lesson, .st-key-lesson [data-testid=stVerticalBlock] {gap: 0.6rem}
/* Plotly rounds a broken width, and draws all again for the rest of a pixel. */
.st-key-lesson-picture [data-testid=stFullScreenFrame] {width: round(down, 100%, 1px)}
.lesson-table {border-collapse: collapse; width: 100%; font-size: 0.95rem}
.lesson-table :is(td, th) {padding: 0.3rem 0.5rem; text-align: left; font-weight: 400;
    border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent)}
.lesson-table .here {font-weight: 650; box-shadow: inset 4px 0 0 currentColor}
:is(.updatemenu-button, .slider-container):focus-visible {outline: 2px solid currentColor; outline-offset: 2px}
.updatemenu-button:hover rect {fill: rgba(127, 127, 127, 0.25) !important}
@media (prefers-reduced-motion: reduce) {.updatemenu-container {display: none}}
</style>"""
# In the lecture view the controls of a lesson stay: they are what is shown. The way out of the view stands beside the
# way through the lesson, without the links to other pages, which would not fit.
_LECTURE_STYLE = """<style>
@media (max-height: 1000px) {html {font-size: 17px !important}}
@media (min-width: 641px) {[data-testid=stMainBlockContainer] {padding: 0.5rem 1.5rem 0.25rem; position: relative}}
@media (min-width: 1000px) {
    [data-testid=stMain] [data-testid=stLayoutWrapper]:has(> .st-key-lecture-links) {
        position: absolute; top: 0.25rem; right: 0.75rem; width: auto; z-index: 1
    }
    [data-testid=stMain] .st-key-lecture-links [data-testid=stElementContainer]:has([data-testid=stPageLink]) {
        display: none !important
    }
}
.st-key-lesson [data-testid=stCaptionContainer] p {font-size: 1rem}
.st-key-lesson-picture [data-testid=stElementContainer]:has(.js-plotly-plot) {
    height: max(22rem, 100vh - 12.1rem) !important
}
[data-testid=stMain] :is(.st-key-lesson, .st-key-lesson-head) [data-testid=stElementContainer] {
    display: block !important; min-width: 0
}
[data-testid=stMain] :is(.st-key-lesson, .st-key-lesson-head) [data-testid=stLayoutWrapper] {display: flex !important}
[data-testid=stMain] [data-testid=stLayoutWrapper]:has(> .st-key-lecture-links) {order: 9}
</style>"""
# Plotly's own button and slider take the mouse alone. Here they take the keys too, by what the mouse would have done.
_KEYS = """<script>
if (!window.lessonKeys) {
    const press = button => event => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        // Plotly's slider moves in the next frame, and would stop what begins before.
        requestAnimationFrame(() => button.dispatchEvent(new MouseEvent('click')));
    };
    const move = slider => event => {
        const by = {ArrowLeft: -1, ArrowRight: 1, Home: -1e3, End: 1e3}[event.key];
        if (!by) return;
        event.preventDefault();
        event.stopPropagation();
        const plot = slider.closest('.js-plotly-plot'), {active, steps} = plot._fullLayout.sliders[0];
        const last = steps.length - 1, to = Math.min(Math.max(active + by, 0), last);
        const rail = slider.querySelector('.slider-rail-rect').getBoundingClientRect();
        const at = {clientX: rail.left + rail.width * to / last, clientY: rail.top, bubbles: true};
        slider.querySelector('.slider-rail-touch-rect').dispatchEvent(new MouseEvent('mousedown', at));
        plot.dispatchEvent(new MouseEvent('mouseup', at));
    };
    const reach = (part, role, label, onkeydown) => {
        part.setAttribute('tabindex', 0);
        part.setAttribute('role', role);
        part.setAttribute('aria-label', label);
        part.addEventListener('keydown', onkeydown);
    };
    const tell = slider => {
        const {active, steps} = slider.closest('.js-plotly-plot')._fullLayout.sliders[0];
        slider.setAttribute('aria-valuemin', 0);
        slider.setAttribute('aria-valuemax', steps.length - 1);
        slider.setAttribute('aria-valuenow', active);
        slider.setAttribute('aria-valuetext', `step ${steps[active].label}`);
    };
    // Plotly rejects, without a reason, the promise of an animation that is cut off; nobody waits for it.
    window.addEventListener('unhandledrejection', event => event.reason === undefined && event.preventDefault());
    // The step that is shown goes into the address, once the picture rests.
    const remember = plot => {
        if (plot.remembersStep) return;
        plot.remembersStep = true;
        plot.on('plotly_sliderchange', ({step}) => {
            clearTimeout(plot.remembering);
            plot.remembering = setTimeout(() => {
                const address = new URL(location);
                address.searchParams.set('step', step.label);
                history.replaceState(history.state, '', address);
            }, 300);
        });
    };
    window.lessonKeys = new MutationObserver(() => {
        for (const button of document.querySelectorAll('.js-plotly-plot .updatemenu-button:not([tabindex])'))
            reach(button, 'button', button.textContent, press(button));
        for (const slider of document.querySelectorAll('.js-plotly-plot .slider-group:not([tabindex])')) {
            reach(slider, 'slider', 'Step of training', move(slider));
            remember(slider.closest('.js-plotly-plot'));
        }
        document.querySelectorAll('.js-plotly-plot .slider-group').forEach(tell);
    });
    window.lessonKeys.observe(document.body, {childList: true, subtree: true});
    // The keys of a presenter's remote control.
    document.addEventListener('keydown', event => {
        const way = {PageDown: 'next', PageUp: 'back'}[event.key];
        const button = way && document.querySelector(`.st-key-lesson-head .st-key-${way} button`);
        if (!button || new URLSearchParams(location.search).get('lecture') !== '1') return;
        event.preventDefault();
        button.click();
    }, true);
}
</script>"""


class Formula(NamedTuple):
    """A formula, where it is from, and the statement of the product that computes it (see `find_code`)."""

    latex: str
    source: str
    module: str
    function: str
    words: str


SCHEDULE = Formula(
    r"v(t) = v + (1 - v)\left(1 - \frac{t}{N}\right)^3",
    "Zhu and Gupta 2017; Jiang et al., ACL 2023",
    "smp_lab.schedule",
    "Schedule.remaining",
    "return",
)


class Screen(NamedTuple):
    """One idea: two sentences of Markdown, what draws controls, guess and picture, and its mathematics."""

    title: str
    words: str
    show: Callable[[], None]
    formulas: Sequence[Formula]


def run_lesson(screens: Sequence[Screen]) -> None:
    """Draw the way through the lesson and the screen that the address names."""
    st.html(_STYLE + (_LECTURE_STYLE if links.in_lecture() else ""))
    st.html(_KEYS, unsafe_allow_javascript=True)
    here = _here(len(screens))
    screen = screens[here]
    with st.container(key="lesson-head", horizontal=True, vertical_alignment="center"):
        _way(screens, here)
        with st.popover("Show the mathematics", icon=":material/function:"):
            for formula in screen.formulas:
                _mathematics(formula)
    with st.container(key="lesson"):
        st.title(f"{here + 1}. {screen.title}", anchor=False)
        with st.container(key="lesson-words"):
            st.markdown(screen.words)
        # What is moved on a screen draws the screen alone: the rest of the page stays.
        st.fragment(screen.show)()


def _here(n_screens: int) -> int:
    asked = st.query_params.get(SCREEN, "1")
    return int(asked) - 1 if asked in map(str, range(1, n_screens + 1)) else 0


def _go(place: int) -> None:
    st.query_params.pop(_STEP, None)
    st.query_params[SCREEN] = str(place + 1)


def step() -> int | None:
    """The step of training that the address asks for; the page's script writes it there."""
    asked = st.query_params.get(_STEP, "")
    return int(asked) if asked.isdecimal() and len(asked) < 10 else None


def _way(screens: Sequence[Screen], here: int) -> None:
    """Back, a button for each screen, and next: the arrow keys turn the pages."""
    last = len(screens) - 1
    st.button("Back", key="back", shortcut="Left", disabled=here == 0, on_click=_go, args=[here - 1])
    for place, screen in enumerate(screens):
        st.button(
            str(place + 1),
            key=f"screen-{place + 1}",
            type="primary" if place == here else "secondary" if place < here else "tertiary",
            help=screen.title,
            on_click=_go,
            args=[place],
        )
    st.button("Next", key="next", shortcut="Right", disabled=here == last, on_click=_go, args=[here + 1])


def _mathematics(formula: Formula) -> None:
    st.latex(formula.latex)
    st.caption(formula.source)
    code = find_code(formula.module, formula.function, formula.words)
    st.code(code.text, language="python")
    st.caption(f"{code.module}, line {code.line}")


def guess(key: str, question: str, answers: Sequence[str], right: str, why: str) -> bool:
    """Ask for a prediction, and answer once there is one; whether there was one: then the picture may show the answer.

    The answer is `right`, and a sentence that says why, computed from what is shown.
    """
    given = st.segmented_control(question, answers, key=key, bind="query-params", wrap=True)
    with st.container():
        if given is not None:
            st.markdown(f":green[**Yes.**] {why}" if given == right else f":orange[**No: {right}.**] {why}")
    return given is not None


def halves() -> tuple[Any, Any]:
    """Columns: a narrow one for controls and guess, a wide one for the picture."""
    left, right = st.columns([1, 2], gap="medium")
    return left, right


def picture(
    plot: Callable[..., go.Figure | dict[str, Any]],
    *args: Any,
    alt: str,
    on_click: Callable[[Any], None] | None = None,
    **settings: Any,
) -> None:
    """What a function of `smp_lab.figures` draws: `controls.show_settled`, in a lecture as high as the window."""
    # A picture of known height is drawn once; one that fills the window is drawn again when it knows how high.
    height: Literal["content", "stretch"] = "stretch" if links.in_lecture() else "content"
    with st.container(key="lesson-picture"):
        controls.show_settled(
            plot, *args, key=f"lesson-{plot.__name__}", alt=alt, height=height, on_click=on_click, **settings
        )
