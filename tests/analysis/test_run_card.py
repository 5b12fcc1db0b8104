import json

import pytest
from conftest import TINY, tiny_config

from smp_lab.analysis.run_card import (
    FIRST,
    card_markdown,
    deviations,
    differences,
    part_of_the_data,
    run_card,
    sections,
)
from smp_lab.layout import EncoderLayout
from smp_lab.tasks import TASKS

BERT_BASE = EncoderLayout(n_layers=12, hidden_size=768, intermediate_size=3072, n_heads=12, n_parameters=109_482_240)
BASELINE = {"score_learning_rate": None, "weight_learning_rate": 3e-5}
PROVENANCE = {
    "created_utc": "2026-01-01T00:00:00+00:00",
    "git_commit": "0123abc",
    "git_dirty": None,
    "packages": {"torch": "2.13.0", "numpy": "2.4"},
    "wall_seconds": 486.3,
    "data_source": "folder",
    "command": "smp-lab train --task rte",
}


def results(task="rte", value=0.6):
    n_kept = TINY.n_weights // 4
    return {
        "metrics": {metric: value + 0.01 * place for place, metric in enumerate(TASKS[task].metrics)},
        "n_examples": {split: 40 + place for place, (_, split) in enumerate(TASKS[task].splits)},
        "total_steps": 30,
        "best": {"metric": TASKS[task].main_metric, "value": 0.65, "step": 20},
        "kept": [[n_kept - 5, 5], [n_kept]],
        # Of head 0 the query matrix is whole, of all else nothing is kept.
        "kept_per_head": [[[TINY.head_size * TINY.hidden_size * (kind == 0), 0] for kind in range(4)]] * TINY.n_layers,
        "trainable_parameters": 4096,
        "new_parameters": 128.0,
    }


def test_spread_over_heads_by_hand():
    spread = run_card(tiny_config(), TINY, {}, results())["results"]["spread_over_heads"]
    # One of eight, and one of four head matrices of a layer is kept.
    assert spread == {"all heads": pytest.approx((7 / 64) ** 0.5), "query and value heads": pytest.approx(3**0.5 / 4)}
    card = run_card(tiny_config(), TINY, PROVENANCE, results())
    assert "spread over heads (standard deviation, points): `33.1` over all heads, `43.3`" in card_markdown(card)
    dense = tiny_config(method="dense", remaining=1.0)
    assert "spread" not in card_markdown(run_card(dense, TINY, PROVENANCE, results()))


def test_card_holds_what_the_record_says():
    config = tiny_config()
    card = run_card(config, TINY, PROVENANCE, results())
    assert card["settings"] == {
        name: value
        for name, value in config.to_dict().items()
        if value is not None and name not in ("base_model_sha256", "data_sha256")
    }
    assert card["fingerprints"] == {"base_model_sha256": "a" * 64, "data_sha256": "b" * 64}
    assert card["provenance"]["wall_minutes"] == 8.1
    assert card["command"] == "smp-lab train --task rte"
    assert card["results"]["metrics"] == {"accuracy": {"value": 0.6, "n_examples": 40}}
    assert card["results"]["best_evaluation"] == {"metric": "accuracy", "value": 0.65, "step": 20}
    assert card["results"]["remaining"] == pytest.approx(0.5)
    assert json.loads(json.dumps(card, allow_nan=False))["run_id"] == config.run_id
    assert PROVENANCE["command"], "the record stays as it was"


@pytest.mark.parametrize(
    ("method", "unused"),
    [
        ("dense", {"regularizer", "regularizer_ramp", "schedule", "schedule_fraction", "score_learning_rate"}),
        ("magnitude", {"regularizer", "regularizer_ramp", "score_learning_rate"}),
        ("magnitude_frozen", {"seed", "epochs", "regularizer", "schedule"}),
    ],
)
def test_a_card_has_no_settings_that_the_method_does_not_look_at(method, unused):
    remaining = {"remaining": 1.0} if method == "dense" else {}
    settings = run_card(tiny_config(method=method, **remaining), TINY, {}, results())["settings"]
    assert unused.isdisjoint(settings)
    assert {"task", "method", "batch_size", "head"} <= settings.keys()


def test_each_metric_has_the_size_of_its_own_development_set():
    config = tiny_config(task="mnli", label_words=("yes", "maybe", "no"))
    metrics = run_card(config, TINY, PROVENANCE, results("mnli"))["results"]["metrics"]
    assert {name: measured["n_examples"] for name, measured in metrics.items()} == {
        "accuracy_matched": 40,
        "accuracy_mismatched": 41,
    }


def test_two_metrics_share_one_development_set():
    metrics = run_card(tiny_config(task="mrpc"), TINY, {}, results("mrpc"))["results"]["metrics"]
    assert [measured["n_examples"] for measured in metrics.values()] == [40, 40]


def test_markdown_says_it_all():
    lines = card_markdown(run_card(tiny_config(), TINY, PROVENANCE, results())).splitlines()
    assert lines[0] == f"# `{tiny_config().run_id}`"
    for line in (
        "- accuracy: `60.00` % at the last evaluation, on 40 development examples",
        "- best evaluation, chosen on the same development set: accuracy `65.00` % at step `20`",
        "- label words: `yes/no`",
        "- epochs: `2`",
        "- packages: `torch 2.13.0, numpy 2.4`",
        "- git commit: `0123abc`",
        f"- data sha256: `{'b' * 64}`",
        "smp-lab train --task rte",
    ):
        assert line in lines
    assert not [line for line in lines if "None" in line]


def test_card_of_a_resumed_run_names_every_process():
    processes = [
        {"from_step": 0, "threads": 1, "git_commit": "0123abc", "git_dirty": None},
        {"from_step": 20, "threads": 2, "git_commit": "4567def", "git_dirty": False},
    ]
    text = card_markdown(run_card(tiny_config(), TINY, {**PROVENANCE, "processes": processes}, results()))
    first, second = "from step 0, threads 1, git commit 0123abc", "from step 20, threads 2, git commit 4567def"
    assert f"- processes: `{first}; {second}, git dirty False`" in text


def test_text_of_a_record_stays_text():
    hostile = {**PROVENANCE, "data_source": "a`\n# ![x](http://example.org/x.png)", "command": "x\n```\n# title"}
    text = card_markdown(run_card(tiny_config(), TINY, hostile, results()), level=4)
    assert "- data source: `a' # ![x](http://example.org/x.png)`" in text
    assert "\nx ''' # title\n```" in text


def test_a_record_without_a_command_has_none():
    assert "Made again by" not in card_markdown(run_card(tiny_config(), TINY, {}, results()))


RAMP = (
    "Regularizer ramp: over all steps, as in the authors' scripts; in the paper's text with the sparsity (section 4.3)."
)
CODE = {"method": "smp_l", "epochs": 100, "schedule_fraction": None, "schedule_steps": 3500, "remaining": 0.8}
CODE_DIFFERS = [
    "Epochs: 100, as in the authors' scripts; in the paper's text 60 (section 5.2).",
    "Batch size: 32, as in",
    RAMP,
]


@pytest.mark.parametrize(
    ("changes", "layout", "words"),
    [
        (CODE, BERT_BASE, CODE_DIFFERS),
        (CODE, TINY, ["2 layers of width 16", *CODE_DIFFERS]),
        (
            CODE | {"epochs": 60, "batch_size": 64, "regularizer_ramp": "paper"},
            BERT_BASE,
            [
                "Epochs: 60, as in the paper's text (section 5.2); in the authors' scripts 100.",
                "Batch size: 64, as in the paper's text (section 5.2); in the authors' scripts 32.",
                "Regularizer ramp: with the sparsity, as in the paper's text (section 4.3); in the authors' scripts",
            ],
        ),
        (
            {"epochs": 20},
            BERT_BASE,
            [
                "share rule",
                "Epochs: 20; in the authors' scripts 100, in the paper's text 60 (section 5.2).",
                "Batch size: 32, as in the authors' scripts; in the paper's text 64 (section 5.2).",
                RAMP,
                "Schedule over: 14 epochs; in the paper's text 3,500 steps (section 5.2).",
            ],
        ),
        (CODE | {"remaining": 0.7}, BERT_BASE, [*CODE_DIFFERS, "3,500 steps; in the authors' scripts 5,250 steps, in"]),
        (
            CODE | {"method": "smp_s"},
            BERT_BASE,
            [
                "share rule",
                *CODE_DIFFERS[:2],
                "Share temperature: 1, as in the paper's text (it has no p); in the authors' scripts 4.",
                RAMP,
            ],
        ),
        (
            {"task": "wnli", "method": "smp_l", "regularizer_ramp": "paper"},
            BERT_BASE,
            ["no numbers", "Regularizer ramp"],
        ),
        (
            CODE
            | {"teacher": "x@0", "kl_direction": "teacher_student", "distillation_temperature": 2}
            | {"distillation_weight": 0.5},
            BERT_BASE,
            [
                *CODE_DIFFERS,
                "KL direction: KL(teacher || student), as in the authors' scripts; in the paper's text",
            ],
        ),
        (
            CODE
            | {"task": "stsb", "label_words": ("no", "yes"), "regression_head": "poles", "epochs": 60}
            | {"train_examples": 2000},
            BERT_BASE,
            [
                "Regression head: poles; in the authors' scripts mse.",
                *CODE_DIFFERS[1:],
            ],
        ),
        (
            CODE | {"regularizer": 200.0, "schedule": "linear", "score_learning_rate": 1e-3},
            BERT_BASE,
            [
                *CODE_DIFFERS[:2],
                "Score learning rate: 0.001; in the paper 0.02 (section 5.2).",
                "Schedule: linear; in the paper cubic (section 5.2).",
                "Regularizer: 200; in the paper 400 (section 5.2).",
                RAMP,
            ],
        ),
        (
            {"method": "movement", "head": "linear", "label_words": None, "score_learning_rate": 1e-2}
            | {"weight_learning_rate": 1e-4},
            BERT_BASE,
            [
                "Weight learning rate: 0.0001; in the paper 3e-05 (section 5.2, after Sanh et al., 2020).",
                "Regularizer: 400; in the paper 0 (section 5.2, after Sanh et al., 2020).",
            ],
        ),
        ({"method": "random", "score_learning_rate": None}, BERT_BASE, []),
        (
            {"method": "dense", "remaining": 1.0, "schedule": None, "schedule_fraction": None} | BASELINE,
            BERT_BASE,
            ["published baselines have a head of their own"],
        ),
        ({"method": "magnitude"} | BASELINE, BERT_BASE, ["published baselines have a head of their own"]),
        ({"method": "magnitude", "head": "linear", "label_words": None} | BASELINE, BERT_BASE, []),
        (
            {"task": "toy-sentiment", "label_words": ("terrible", "great"), "method": "random"},
            BERT_BASE,
            ["are generated"],
        ),
    ],
)
def test_deviations_are_those_of_the_settings(changes, layout, words):
    sentences = deviations(tiny_config(**{"base_model": "google-bert/bert-base-uncased"} | changes), layout)
    assert len(sentences) == len(words)
    for sentence, word in zip(sentences, words, strict=True):
        assert word in sentence


@pytest.mark.parametrize(
    ("name", "said"), [("bert-base-cased", False), ("FacebookAI/roberta-base", False), ("mpnet", True)]
)
def test_another_encoder_of_the_same_shape_is_not_the_papers(name, said):
    sentence = "The encoder is mpnet; the paper's are BERT-base and RoBERTa-base."
    assert (sentence in deviations(tiny_config(base_model=name), BERT_BASE)) == said


@pytest.mark.parametrize(
    ("task", "n", "said"), [("squad", 970, True), ("squad", 87_599, False), ("toy-span", 1, False)]
)
def test_a_part_of_a_published_data_set_is_said(task, n, said):
    sentences = part_of_the_data(TASKS[task], n)
    assert bool(sentences) == said
    assert not said or sentences[0].startswith("Learned from 970 of SQuAD's 87,599 training examples: ")


@pytest.mark.parametrize(
    ("known", "words"), [({}, "Only the first 100 "), ({"n_train_examples": 100}, "Learned from 100 of RTE's 2,490 ")]
)
def test_how_much_of_the_data_was_used_is_said_once(known, words):
    card = run_card(tiny_config(train_examples=100), TINY, PROVENANCE, results() | known)
    (said,) = [sentence for sentence in card["deviations"] if "training examples" in sentence]
    assert said.startswith(words)


def test_a_schedule_that_was_cut_is_said():
    config = tiny_config(schedule_fraction=None, schedule_steps=3500)
    card = run_card(config, TINY, PROVENANCE, results() | {"total_steps": 2340})
    assert [sentence for sentence in card["deviations"] if "3,500 steps and the run 2,340" in sentence]


def test_a_control_learns_from_no_part_of_the_data():
    for known in ({}, {"n_train_examples": 100}):
        card = run_card(tiny_config(method="random", train_examples=100), TINY, PROVENANCE, results() | known)
        assert not [sentence for sentence in card["deviations"] if "training examples" in sentence]


def test_result_cost_and_deviations_come_first():
    card = run_card(tiny_config(), TINY, PROVENANCE, results())
    assert tuple(sections(card))[: len(FIRST)] == FIRST
    assert "- wall minutes: `8.1`" in sections(card)["Cost"]


def test_differences_are_the_settings_that_are_not_alike():
    table = differences({"a": tiny_config(), "b": tiny_config(seed=1, train_examples=100)})
    assert table.to_numpy().tolist() == [["seed", "0", "1"], ["train examples", "-", "100"]]
    assert list(table) == ["setting", "a", "b"]
