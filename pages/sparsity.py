"""Where masks keep weights: by layer, head and matrix, as pictures and as counts."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from smp_lab.analysis import sparsity
from smp_lab.analysis.replicates import along_lines
from smp_lab.figures import sparsity as figures
from smp_lab.figures import style
from smp_lab.figures.style import HEAD_WORDS, MATRIX_TITLES
from smp_lab.layout import HEAD_TYPES
from smp_lab.storage.published import SOURCE
from smp_lab.storage.runs import Masked, masks_of
from smp_lab.ui import cache, columns, controls, mask_picture, messages
from smp_lab.ui.glossary import explain

_SUM = "all four"


def main() -> None:
    st.title("Where do masks keep weights?")
    answer = messages.answer_slot()
    measured, opened = controls.chosen_runs_and_masks(cache.run_index(), otherwise=controls.ONE_PER_TASK)
    runs: list[Masked] = [*measured, *opened]
    per_layer = controls.tables_of_runs(
        [(run, cache.computed(sparsity.remaining_per_layer, run.kept, run.layout)) for run in runs]
    )
    per_head = controls.tables_of_runs(
        [(run, cache.computed(sparsity.remaining_per_head, run.kept_per_head, run.layout)) for run in runs]
    )
    answer.markdown(cache.computed(sparsity.answer, per_layer, per_head), help=explain("kept", "share"))
    if not controls.seeds_apart(per_layer):
        per_layer = along_lines(per_layer, ["layer", "matrix_type"], ["remaining"])
    controls.show(
        figures.plot_remaining_per_layer,
        per_layer,
        controls.color_by(),
        key="remaining-per-layer",
        alt=f"Remaining weights in percent by layer for {len(runs)} run{'s' * (len(runs) > 1)}, overall and for each "
        "matrix type.",
        min_width=style.PAGE_PIXELS,
    )
    _heads(runs)
    _counts(runs)
    st.header("One matrix")
    masks = {mask.mask_id: mask for mask in masks_of(runs)}
    if masks:
        labels = controls.run_labels(runs)
        mask_picture.show(masks, {mask_id: labels[mask_id] for mask_id in masks})
    else:
        st.info("None of the chosen runs holds a mask.")


# What is set in a fragment draws it alone: the rest of the page stays.
@st.fragment
def _heads(runs: Sequence[Masked]) -> None:
    titles = {_SUM: "All four"} | {kind: MATRIX_TITLES[kind] for kind in HEAD_TYPES}
    matrices = controls.pick("Matrices of the heads", titles, key="heads", widget=st.segmented_control, required=True)
    types = HEAD_TYPES if matrices == _SUM else (matrices,)
    words = HEAD_WORDS if matrices == _SUM else titles[matrices].lower()
    controls.show(
        figures.plot_remaining_per_head,
        controls.tables_of_runs(
            [(run, cache.computed(sparsity.remaining_per_head, run.kept_per_head, run.layout, types)) for run in runs]
        ),
        words,
        key="remaining-per-head",
        alt=f"Remaining weights in percent by layer and attention head in {words}, one panel for each of "
        f"{len(runs)} run{'s' * (len(runs) > 1)}.",
        min_width=480 if len(runs) == 1 else style.PAGE_PIXELS,
    )

    def spread(run: Masked) -> str:
        return f"{100 * sparsity.spread_over_heads(run.kept_per_head, run.layout, types):.1f}"

    known, names = cache.run_index().records, cache.run_labels()
    pairs = [
        f"{names[regularized]}: {spread(known[regularized])} with it, {spread(known[plain])} without"
        for regularized, plain in cache.computed(sparsity.with_and_without_regularizer, cache.run_table())
    ]
    labels = controls.run_labels(runs).values()
    spreads = "; ".join(f"{label} {spread(run)}" for label, run in zip(labels, runs, strict=True))
    st.caption(
        f"Spread over heads, in points: {messages.plain(spreads)}. "
        f"Published: 12.4 with the regulariser, 3.75 without ({SOURCE}, section 6.3; SMP-L, MNLI, 10 %). "
        + (f"Here, {messages.plain('; '.join(pairs))}." if pairs else "")
    )


def _counts(runs: Sequence[Masked]) -> None:
    st.header("Counts")
    table = controls.tables_of_runs(
        [
            (
                run,
                cache.computed(
                    sparsity.count_table,
                    run.kept,
                    run.layout,
                    run.config and run.config.remaining,
                    not run.config or run.config.method_info.of_each_type,
                ),
            )
            for run in runs
        ]
    )
    columns.show(
        # Streamlit cuts what is beyond the last decimal instead of rounding it.
        table.assign(part=table["part"].map(MATRIX_TITLES)).round({"nominal": 5, "remaining": 5}),
        column_order=["run", "part", "scope", "kept", "n_weights", "nominal", "remaining"],
        column_config={
            "run": "Run",
            "part": "Matrices",
            "scope": st.column_config.TextColumn(
                "Scope",
                help="Encoder: the prunable weights. Model: these, embeddings, biases, LayerNorm and pooler; "
                "no task head.",
            ),
            "kept": columns.count("Kept weights"),
            "n_weights": columns.count("Of"),
            "nominal": columns.percent(
                "Asked to keep", f"{explain('asked to keep')} Of the model: with what is never pruned."
            ),
            "remaining": columns.percent("Kept"),
        },
        alt="Kept weights by matrix type, of the encoder and of the whole model, for each chosen run",
    )
    controls.data_downloads(table, "kept-weights")


main()
