"""The public figures, on records of a test and as README shows them."""

from __future__ import annotations

import inspect

import plotly.graph_objects as go
import pytest
from conftest import TINY, foreign_mask, make_run, make_transfer

from smp_lab import plots
from smp_lab.errors import ConfigError, MaskFormatError, RunFormatError
from smp_lab.storage.formats import Opened, named_base
from smp_lab.storage.imported import save_imported

OF_RUNS = [
    plots.remaining_per_layer,
    plots.remaining_per_head,
    plots.overlap,
    plots.overlap_by_kind,
    plots.intersections,
    plots.similarity_to_final,
    plots.evaluations,
    plots.remaining_over_training,
    plots.flips,
    plots.curves,
]

OTHERS = [
    plots.mask,
    plots.score_distribution,
    plots.score_history,
    plots.score_against_weight,
    plots.difference_to_dense,
    plots.transfer,
]


@pytest.mark.parametrize("plot", OF_RUNS)
def test_each_is_one_call_on_runs(three, plot):
    figure = plot(three)
    assert isinstance(figure, go.Figure)
    assert figure.data
    assert "RTE" in figure.to_json()


@pytest.mark.parametrize("plot", OF_RUNS)
def test_each_leaves_out_what_has_nothing_to_show(runs, three, plot):
    dense = make_run(runs, method="dense", remaining=1.0)
    foreign = [foreign_mask(run.masks, mask_id=run.run_id, label="RTE", encoder_sha256="f" * 64) for run in three]
    mixed = three if plot in (plots.overlap, plots.overlap_by_kind, plots.intersections) else [*three, foreign[0]]
    assert plot([*mixed, dense]).data
    assert isinstance(plot(foreign), go.Figure)


def test_each_of_one_run(three):
    assert plots.mask(three[0], 1, "value").data[0].z.shape == (16, 16)
    assert plots.score_history(three[0], "query").data
    assert plots.score_against_weight(three[0], "query").data
    assert "step 10 of 30" in plots.score_distribution(three[0], "query", share_of_steps=0.3).layout.title.subtitle.text


def test_no_public_figure_is_untried():
    public = {
        function
        for name, function in inspect.getmembers(plots, inspect.isfunction)
        if not name.startswith("_") and function.__module__ == plots.__name__
    }
    assert public == {*OF_RUNS, *OTHERS, plots.open_runs, plots.open_masks, plots.open_transfers}


def test_runs_are_opened_by_their_settings(runs, three):
    assert [run.run_id for run in plots.open_runs(runs, task="cola")] == [three[2].run_id]
    assert len(plots.open_runs(runs)) == 3
    with pytest.raises(RunFormatError, match="no run with task='sst2', seed=9 in .*; `smp-lab runs --folder "):
        plots.open_runs(runs, task="sst2", seed=9)
    with pytest.raises(ConfigError, match="Unknown settings: level. Known: task, "):
        plots.open_runs(runs, level=0.5)


def test_what_is_no_folder_is_named(runs, three):
    for opened in (plots.open_runs, plots.open_masks, plots.open_transfers):
        for folder in (runs / "elsewhere", three[0].path / "run.json", None):
            with pytest.raises(ConfigError, match=r"(elsewhere|run\.json|None) is not a folder"):
                opened(folder)
    (runs / "empty").mkdir()
    with pytest.raises(RunFormatError, match="There is no run in "):
        plots.open_runs(runs / "empty")


@pytest.mark.parametrize("plot", [*OF_RUNS, plots.difference_to_dense])
@pytest.mark.parametrize("wrong", ["cached_runs", ["rte-smp_s-r0.5-s0-01234567"], None, 3])
def test_what_is_no_run_is_named(plot, wrong):
    with pytest.raises(ConfigError, match="takes runs, as open_runs and open_masks return them; got "):
        plot(wrong)


@pytest.mark.parametrize("plot", OF_RUNS)
def test_a_run_counts_once_and_any_iterable_will_do(three, plot):
    assert plot(each for each in [*three, *three]).to_json() == plot(three).to_json()


def test_imported_masks_and_transfers_are_opened_from_a_folder(runs, three):
    opened = Opened(masks=three[0].masks, format="packed bits", base=named_base("tiny", TINY), assumed=())
    save_imported(runs, opened, source="m.npz", label="A foreign mask")
    assert [mask.label for mask in plots.open_masks(runs)] == ["A foreign mask"]
    made = make_transfer(runs, three[0], "cola")
    assert [transfer.transfer_id for transfer in plots.open_transfers(runs)] == [made.transfer_id]


@pytest.mark.parametrize(
    ("plot", "words"),
    [
        (lambda run: plots.remaining_per_layer([run], color_by="colour"), "color_by 'colour'.*what differs, task"),
        (lambda run: plots.remaining_per_head([run], ["output"]), "'output'.*query, key, value, attention_output"),
        (lambda run: plots.remaining_per_head([run], []), "heads ''.*query"),
        (lambda run: plots.mask(run, 2, "query"), "layer 2.*: 0, 1"),
        (lambda run: plots.mask(run, 0, "all"), "'all'.*query, key"),
        (lambda run: plots.overlap([run, run], "phi"), "measure 'phi'.*phi_within"),
        (lambda run: plots.overlap_by_kind([run, run], color_by="level"), "color_by 'level'.*task, method"),
        (lambda run: plots.score_distribution(run, "keys"), "matrix type 'keys'.*all, query"),
        (lambda run: plots.score_distribution(run, share_of_steps=float("nan")), "between 0 and 1; got nan"),
        (lambda run: plots.score_distribution(run, share_of_steps="1"), "between 0 and 1; got '1'"),
        (lambda run: plots.overlap([run, run], ["phi_within"]), r"measure \['phi_within'\]"),
        (lambda run: plots.score_history([run]), r"takes one run, which has scores; got \[RunRecord"),
        (lambda run: plots.score_distribution(run.mask_record), "takes one run, which has scores; got MaskRecord"),
        (lambda run: plots.mask("run", 0, "query"), "takes runs, as open_runs and open_masks return them; got 'run'"),
        (lambda run: plots.transfer("runs"), "takes transfers, as open_transfers returns them; got 'runs'"),
        (lambda run: plots.transfer([run]), "takes transfers, as open_transfers returns them; got RunRecord"),
        (lambda run: plots.score_history(run, layer=7), "layer 7.*None, 0, 1"),
        (lambda run: plots.score_against_weight(run, "keys"), "matrix type 'keys'"),
        (lambda run: plots.similarity_to_final([run], "lift"), "measure 'lift'.*recall"),
        (lambda run: plots.evaluations([run], x="time"), "x 'time'.*step, epoch"),
        (lambda run: plots.remaining_over_training([run], x="time"), "x 'time'"),
        (lambda run: plots.flips([run], color_by="seed"), "color_by 'seed'"),
        (lambda run: plots.curves([run], scale="sqrt"), "scale 'sqrt'.*log, linear"),
        (lambda run: plots.difference_to_dense([run], color_by="run"), "color_by 'run'.*task, method"),
    ],
)
def test_an_argument_that_is_none_of_those_that_there_are_is_named(three, plot, words):
    with pytest.raises(ConfigError, match=words):
        plot(three[0])


def test_a_figure_of_one_layer_says_so(three):
    for plot in (plots.score_distribution, plots.score_history, plots.score_against_weight):
        assert "query, layer 1" in plot(three[0], "query", 1).layout.title.subtitle.text


def test_one_mask_has_no_overlap(three):
    with pytest.raises(MaskFormatError, match="at least 2 masks, and got 1"):
        plots.overlap(three[:1])


def test_a_run_without_a_mask_has_no_picture_of_one(runs):
    with pytest.raises(MaskFormatError, match="at least 1 mask, and got 0"):
        plots.mask(make_run(runs, method="dense", remaining=1.0), 0, "query")


def test_no_transfers_are_a_sentence(three):
    with pytest.raises(RunFormatError, match="no transfers"):
        plots.transfer([], three)


def test_the_difference_to_dense_is_to_the_dense_run_among_the_runs(runs, three):
    dense = make_run(runs, method="dense", remaining=1.0, accuracy=0.7)
    figure = plots.difference_to_dense([*three[:2], dense])
    expected = 100 * (three[0].main_value - dense.main_value)
    assert expected < 0
    assert any(y == pytest.approx(expected) for trace in figure.data for y in trace.y if y is not None)


def test_transfers_of_two_levels_are_not_compared(runs, three):
    some = make_transfer(runs, three[0], "cola"), make_transfer(runs, make_run(runs, remaining=0.25), "cola")
    with pytest.raises(RunFormatError, match="got 2 of such kinds"):
        plots.transfer(some, three)


def test_a_transfer(runs, three):
    made = make_transfer(runs, three[0], "cola")
    assert "RTE" in plots.transfer([made], three).to_json()


def test_a_mask_from_elsewhere_is_shown_beside_those_of_runs(three):
    masks = three[1].masks
    encoder = three[0].config.base_model_sha256
    foreign = foreign_mask(masks, label="A foreign mask", encoder_sha256=encoder)
    for plot in (plots.remaining_per_layer, plots.remaining_per_head, plots.overlap, plots.intersections):
        assert "A foreign mask" in plot([three[0], foreign]).to_json()
    picture = plots.mask(foreign, 1, "value")
    assert "A foreign mask" in picture.to_json()
    assert picture.data[0].z.tolist() == plots.mask(three[1], 1, "value").data[0].z.tolist()
    layers = plots.remaining_per_layer([foreign]).data[0]
    kept = masks.kept_per_matrix.sum(axis=1)
    share = 100 * kept * masks.layout.n_layers / masks.layout.n_weights
    assert sorted(layers.y) == pytest.approx(sorted(share))
