import pandas as pd
import pytest

from smp_lab.analysis.transfer import transfer_table
from smp_lab.figures.transfer import plot_transfer


def table():
    rows = [
        ("RTE · 50 %", "rte", "smp_s", "rte", 0.7),
        ("RTE · 50 %", "rte", "smp_s", "cola", 0.1),
        ("CoLA · 50 %", "cola", "smp_s", "cola", 0.9),
        ("Random mask, 0", None, "random", "rte", 0.45),
    ]
    facts = pd.DataFrame(rows, columns=["label", "mask_task", "mask_method", "task", "value"])
    metric = facts["task"].map({"rte": "accuracy", "cola": "matthews_correlation"})
    return transfer_table(
        facts.assign(
            metric=metric,
            majority=0.5,
            classifier="x",
            low=facts["value"] - 0.05,
            high=facts["value"] + 0.05,
            n_examples=1043,
            transfer_id=[f"t{place}" for place in range(len(facts))],
        )
    )


def test_numbers_are_drawn_and_gaps_are_empty():
    (heat,) = plot_transfer(table()).data
    assert heat.hovertext.tolist() == [["70.0", "10.0"], ["", "90.0"], ["45.0", ""]]
    assert heat.z[0].tolist() == [1, -1]
    assert pd.isna(heat.z[1][0])
    assert heat.customdata[0, 1].tolist()[0] == "RTE · 50 %"
    assert heat.customdata[0, 1].tolist()[1:4] == pytest.approx([5, 15, 1043])
    assert heat.customdata[2, 0].tolist()[-1] == "t3"
    # What nobody scored is told, and is no number.
    assert heat.customdata[0, 0].tolist()[4:8] == ["70.0", "45.0", "not known", "50.0"]
    assert heat.customdata[0, 1].tolist()[4:8] == ["90.0", "not known", "not known", "50.0"]


def test_a_mask_on_its_own_task_is_framed():
    frames = {(shape.x0, shape.y0) for shape in plot_transfer(table()).layout.shapes}
    assert frames == {(-0.5, -0.5), (0.5, 0.5)}


def test_tasks_name_their_metric_and_its_examples():
    figure = plot_transfer(table())
    assert figure.layout.xaxis.ticktext == ("RTE<br>Accuracy,<br>n = 1,043", "CoLA<br>MCC,<br>n = 1,043")
    assert figure.layout.yaxis.ticktext == ("RTE · 50 %", "CoLA · 50 %", "Random mask, 0")


def test_a_long_name_leaves_room_for_the_cells():
    figure = plot_transfer(table().assign(label="a mask of another tool " * 10))
    assert len(figure.layout.yaxis.ticktext[0]) == 50


def test_where_the_own_mask_says_nothing_the_number_still_stands():
    facts = table().assign(share=float("nan"))
    (heat,) = plot_transfer(facts).data
    assert heat.z[0].tolist() == [0, 0]
    assert heat.hovertext[0].tolist() == ["70.0", "10.0"]
