"""What imported masks score, on the page Curves."""

import base64

import numpy as np
import pandas as pd
from conftest import HANGS, TINY, random_masks
from streamlit.testing.v1 import AppTest

from pages.conftest import figures
from smp_lab.storage.formats import Opened, named_base
from smp_lab.storage.imported import save_imported
from smp_lab.storage.measurements import MeasurementSettings, save_measurement


def point(trace):
    (x,), (y,) = (np.frombuffer(base64.b64decode(trace[axis]["bdata"])) for axis in "xy")
    return x, y


def _draw_parts():
    from types import SimpleNamespace

    import streamlit as st
    from conftest import tiny_config

    from smp_lab.ui.curve_sections import parts_of_data

    parts_of_data(
        [
            SimpleNamespace(config=tiny_config(method=method), results={"n_train_examples": n})
            for method, n in st.session_state["runs"]
        ]
    )


def test_a_control_learns_from_no_part_of_the_data():
    app = AppTest.from_function(_draw_parts, default_timeout=HANGS)
    app.session_state["runs"] = [("random", 10), ("magnitude_frozen", 20), ("smp_s", 30)]
    (caption,) = app.run().caption
    assert caption.value.startswith("Learned from 30 of RTE's 2,490 training examples: ")


def test_what_somebody_says_of_an_imported_mask_is_marked_as_told(open_page, runs, write_run):
    run = write_run()
    masks = random_masks(TINY, 0.25)
    opened = Opened(masks=masks, format="x", base=named_base("theirs", TINY), assumed=())
    task = run.config.task
    facts = {"source": "x", "task": task, "metric": "accuracy", "value": 0.82, "n_examples": 872}
    mask = save_imported(runs, opened, label="My <b>pruner</b>", **facts)
    rows = {"cut": [0, 5], "metric": ["accuracy"] * 2, "value": [0.75, 0.7], "low": [0.7] * 2, "high": [0.8] * 2}
    save_measurement(
        runs,
        settings=MeasurementSettings(
            kind="score",
            mask_id=mask.mask_id,
            mask_sha256=masks.sha256,
            base_model="theirs",
            base_model_sha256="a" * 64,
            task=task,
            data_sha256="b" * 64,
        ),
        provenance={},
        table=pd.DataFrame(rows | {"n_examples": [300] * 2, "majority": [0.5] * 2}),
    )
    app = open_page("curves.py", run.run_id)
    assert not app.exception
    told, measured = (
        next(trace for trace in figures(app)[0]["data"] if trace["name"] == f"My (b)pruner(/b), {how}")
        for how in ("told", "imported")
    )
    assert (point(told), told["marker"]["symbol"]) == ((25, 82), "circle-open")
    assert told["customdata"][0][1] == "as told by who imported it, on 872 examples"
    assert (point(measured), measured["marker"]["symbol"]) == ((25, 75), "circle")
    assert measured["customdata"][0][1] == "measured here, on 300 examples"
