"""A mask or a pruned checkpoint of another tool: read from a file, shown, and kept if somebody asks for it."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from smp_lab.analysis import sparsity
from smp_lab.analysis.labels import percent
from smp_lab.figures import sparsity as figures
from smp_lab.figures import style
from smp_lab.tasks import TASKS
from smp_lab.ui import cache, controls, links, messages, opened, safety
from smp_lab.ui.glossary import explain

_FORMATS = """- **Weights with zeros**: `model.safetensors` (a folder with shards too), `pytorch_model.bin`
- **`torch.nn.utils.prune`**: `weight_orig` and `weight_mask`
- **`mask_scores`** of movement pruning and of Static Model Pruning
- **Dictionaries** `{name: 0 or 1}` as `.npz`, `.safetensors` or `.pt`
- **The authors' release**: one `.npy` of packed bits"""


def main() -> None:
    st.title("Where does your own mask keep weights?")
    words = messages.answer_slot().empty()
    words.markdown(
        "Drop a pruned checkpoint or a mask of any tool. What it is, is found in the file; what the file does not say, "
        "is said below."
    )
    if (sentence := safety.refusal()) is not None:
        st.info(f"{sentence} On your own machine `smp-lab import FILE` opens it.")
        return
    left, right = st.columns([3, 2], gap="medium")
    with right:
        options = _options()
        with st.expander("What can be opened?"):
            st.markdown(_FORMATS)
    with left:
        sent = st.file_uploader("A file", key="mask_file")
        place = st.text_input("Or a file or folder on this machine", key="mask_path") if safety.is_local() else ""
    if sent is None and not place:
        return
    with messages.sentence_on_error(), st.spinner("Reading the file", show_time=True):
        found = opened.open_file(sent or place, options)
    _show(words, found.mask_id, found.format, found.assumed)


def _options() -> list[str]:
    """Options of ``smp-lab import``."""
    detect = "find out by its shapes"
    base = st.selectbox("It is a mask for", [detect, *cache.known_bases()], key="mask_base")
    unknown = "not known"
    task = st.selectbox(
        "Task",
        [unknown, *TASKS],
        key="mask_task",
        format_func=lambda name: TASKS[name].title if name in TASKS else name,
    )
    scores = st.text_input(
        "Scores become a mask by",
        key="mask_rule",
        placeholder="topK=0.1",
        help="Asked of files with mask_scores alone.",
    )
    label = st.text_input("Label", key="mask_label", placeholder="the name of the file", max_chars=100)
    given = {
        "--base": base if base != detect else "",
        "--task": task if task != unknown else "",
        "--scores": scores,
        "--label": label,
    }
    return [f"{name}={value}" for name, value in given.items() if value]


def _show(words: DeltaGenerator, mask_id: str, format: str, assumed: tuple[str, ...]) -> None:
    record = cache.imported_masks().records[mask_id]
    mask = record.mask_record
    per_layer = controls.tables_of_runs([(mask, sparsity.remaining_per_layer(mask.kept, mask.layout))])
    per_head = controls.tables_of_runs([(mask, sparsity.remaining_per_head(mask.kept_per_head, mask.layout))])
    words.markdown(sparsity.answer(per_layer, per_head), help=explain("kept", "share"))
    st.success(
        messages.plain(
            f"Read as {format}: {int(mask.kept.sum()):,} of {mask.layout.n_weights:,} weights are kept "
            f"({percent(mask.remaining)}). {' '.join(assumed)}"
        )
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if opened.is_kept(record):
            st.caption("It is kept beside the runs.")
        elif st.button("Keep it beside the runs", type="primary"):
            with messages.sentence_on_error():
                opened.keep(record)
            st.rerun()
        links.page_link_with(links.SPARSITY, "Its layers, heads and matrices", masks=mask_id)
        links.page_link_with(links.OVERLAP, "Compare it with masks of runs", masks=mask_id)
    controls.show(
        figures.plot_remaining_per_layer,
        per_layer,
        key="opened-per-layer",
        alt="Remaining weights of the opened mask in percent by layer, overall and for each matrix type.",
        min_width=style.PAGE_PIXELS,
    )


main()
