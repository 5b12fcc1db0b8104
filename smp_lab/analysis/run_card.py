"""A run on one page: settings, fingerprints, how it was made, what it scores, where it departs from the paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from smp_lab.analysis.labels import plain
from smp_lab.analysis.sparsity import spread_over_heads
from smp_lab.config import RunConfig
from smp_lab.layout import HEAD_TYPES, QUERY, VALUE, EncoderLayout
from smp_lab.methods import NONE
from smp_lab.paper import CODE, TEXT, Stated, stated
from smp_lab.recipes import nearest_recipe
from smp_lab.schedule import note_on_length
from smp_lab.settings import SETTINGS
from smp_lab.tasks import Task

_FINGERPRINTS = ("base_model_sha256", "data_sha256")
_PAPER_SHAPE = (12, 768)
# Over which heads their remaining fractions are spread; the paper does not say over which it measured.
_HEADS: Mapping[str, tuple[str, ...]] = {"all heads": HEAD_TYPES, "query and value heads": (QUERY, VALUE)}


def run_card(
    config: RunConfig, layout: EncoderLayout, provenance: Mapping[str, Any], results: Mapping[str, Any]
) -> dict[str, Any]:
    """The facts of a run as plain values, fit for JSON.

    Parameters
    ----------
    config, layout
        Its settings, and the shapes of its encoder.
    provenance, results
        As in the record: how it was made, and its metrics, evaluations and counts.

    Returns
    -------
    dict
        run_id; recipe (the one whose settings it has, or most of them, with the others; None where none is for its
        task); settings (those that the method looks at and that have
        a value); fingerprints; encoder (shapes);
        provenance (wall time in minutes); results: metrics (per name the value at the last evaluation, a
        fraction, and n_examples), best_evaluation and best_at_final_density
        (metric, value, step; the latter None in older records), remaining (measured fraction of the prunable
        weights), spread_over_heads (of `sparsity.spread_over_heads`, over all four matrix types and over query and
        value; None without a mask), trainable_parameters and new_parameters; deviations (sentences of `deviations`, and
        one each where the run has not all of the training data, and not all of its schedule);
        command (None where the record has none).
    """
    settings = {
        name: value
        for name, value in config.to_dict().items()
        if value is not None and SETTINGS[name].used_by(config.method_info)
    }
    fingerprints = {name: settings.pop(name) for name in _FINGERPRINTS}
    made = dict(provenance)
    command = made.pop("command", None)
    if "wall_seconds" in made:
        made["wall_minutes"] = round(made.pop("wall_seconds") / 60, 1)
    metrics = {
        metric: {"value": results["metrics"][metric], "n_examples": results["n_examples"][split]}
        for suffix, split in config.task_info.splits
        for metric in config.task_info.metrics
        if metric.endswith(suffix)
    }
    return {
        "run_id": config.run_id,
        "recipe": _recipe(config, results.get("n_train_examples")),
        "settings": settings,
        "fingerprints": fingerprints,
        "encoder": layout.to_dict(),
        "provenance": made,
        "results": {
            "metrics": metrics,
            "best_evaluation": dict(results["best"]),
            "best_at_final_density": results.get("best_at_final_density"),
            "remaining": sum(map(sum, results["kept"])) / layout.n_weights,
            "spread_over_heads": {
                name: spread_over_heads(np.asarray(results["kept_per_head"]), layout, types)
                for name, types in _HEADS.items()
            }
            if config.method_info.remaining != NONE
            else None,
            "trainable_parameters": results["trainable_parameters"],
            "new_parameters": results["new_parameters"],
        },
        "deviations": [
            *deviations(config, layout),
            *_few_examples(config, results.get("n_train_examples")),
            *filter(None, [note_on_length(config, results["total_steps"])]),
        ],
        "command": command,
    }


def _recipe(config: RunConfig, examples: int | None) -> str | None:
    nearest = nearest_recipe(config, examples)
    if nearest is None:
        return None
    name, differing = nearest
    return name + (f", but for {', '.join(SETTINGS[setting].words for setting in differing)}" if differing else "")


def part_of_the_data(task: Task, n_train_examples: int | None) -> list[str]:
    """A sentence where a run learned from less than nine tenths of a published data set."""
    if task.n_train is None or n_train_examples is None or n_train_examples > 0.9 * task.n_train:
        return []
    return [
        f"Learned from {n_train_examples:,} of {task.title}'s {task.n_train:,} training examples: the value says "
        "little about how good such a run can be."
    ]


def _few_examples(config: RunConfig, n_train_examples: int | None) -> list[str]:
    """The same of a run, which may not say how many there are; a control learns from none."""
    if config.method_info.is_control:
        return []
    said = part_of_the_data(config.task_info, n_train_examples)
    if said or config.train_examples is None:
        return said
    return [f"Only the first {config.train_examples:,} training examples are used."]


def deviations(config: RunConfig, layout: EncoderLayout) -> list[str]:
    """Sentences on where a run departs from Jiang et al. (2023), as far as its settings show it."""
    sentences = []
    if (layout.n_layers, layout.hidden_size) != _PAPER_SHAPE:
        sentences.append(
            f"The encoder has {layout.n_layers} layers of width {layout.hidden_size}; the paper's, BERT-base and "
            "RoBERTa-base, have 12 of width 768."
        )
    elif not config.base_model.rpartition("/")[2].startswith(("bert-base", "roberta-base")):
        sentences.append(f"The encoder is {config.base_model}; the paper's are BERT-base and RoBERTa-base.")
    if config.task_info.synthetic:
        sentences.append("The sentences are generated and say nothing about language.")
    elif config.task == "wnli":
        sentences.append("The paper has no numbers for this task.")
    method = config.method_info
    if method.trains_weights and config.head == "label_words":
        sentences.append(
            "Classes are scored by the embeddings of label words, as for the masks beside it; published baselines have "
            "a head of their own."
        )
    if not method.trains_weights and config.head == "linear":
        sentences.append("A new linear head is trained; the paper's scores classes by the embeddings of label words.")
    if config.method == "smp_s":
        sentences.append(
            "What the share rule cuts off above a whole matrix goes to the other layers; the authors' code loses it."
        )
    return sentences + _other_settings(config)


def _other_settings(config: RunConfig) -> list[str]:
    """A sentence per setting whose value one of the two readings of the paper has otherwise."""
    code, text = (
        stated(
            reading,
            config.task,
            config.method_info,
            config.remaining,
            encoder=config.base_model,
            taught=config.teacher is not None,
        )
        for reading in (CODE, TEXT)
    )
    compared = {*code, *text}
    if config.method_info.trains_weights:
        # Of these the paper says little else.
        compared &= {"weight_learning_rate", "schedule", "regularizer"}
    compared -= set(_LENGTHS) | ({"regression_head"} if config.head == "linear" else set())
    sentences = []
    for name, setting in SETTINGS.items():
        if name in compared:
            said = [
                reading[name]._replace(value=setting.text(reading[name].value)) if name in reading else None
                for reading in (code, text)
            ]
            sentences.append(_beside(setting.words, setting.text(getattr(config, name)), *said))
    if not config.method_info.trains_weights and config.schedule is not None:
        own = _length(config.to_dict(), config.epochs)
        sentences.append(_beside("schedule over", own, *map(_stated_length, (code, text))))
    return [sentence for sentence in sentences if sentence]


_LENGTHS = ("schedule_steps", "schedule_fraction")


def _stated_length(reading: Mapping[str, Stated]) -> Stated | None:
    values = {name: said.value for name, said in reading.items()}
    sources = [reading[name].source for name in _LENGTHS if name in reading]
    return Stated(_length(values, values["epochs"]), sources[0]) if sources else None


def _length(values: Mapping[str, Any], epochs: float) -> str | None:
    """N in words; None where there is none."""
    if (steps := values.get("schedule_steps")) is not None:
        return f"{steps:,} steps"
    fraction = values.get("schedule_fraction")
    return None if fraction is None else f"{fraction * epochs:.3g} epochs"


def _beside(what: str, own: str | None, code: Stated | None, text: Stated | None) -> str | None:
    """A value beside those of the two readings, with their places; None where neither has another one."""
    readings = {place: said for place, said in (("the authors' scripts", code), ("the paper's text", text)) if said}
    differing = {place: said for place, said in readings.items() if said.value != own}
    if not differing:
        return None
    start = f"{what[0].upper()}{what[1:]}: {own}"
    if code and text and code.value == text.value:
        differing = {"the paper": text}
    agreeing = "".join(
        f", as in {place}{_source(said, place)}" for place, said in readings.items() if said.value == own
    )
    return (
        f"{start}{agreeing}; "
        + ", ".join(f"in {place} {said.value}{_source(said, place)}" for place, said in differing.items())
        + "."
    )


def _source(said: Stated, place: str) -> str:
    return "" if said.source == place else f" ({said.source})"


# What a run card shows at once; the rest is folded away.
FIRST = ("Results", "Cost", "Departs from the paper")
_COST = ("wall_minutes", "processor", "threads")


def card_markdown(card: Mapping[str, Any], level: int = 1) -> str:
    """A run card as Markdown, its title at a heading level from 1 to 5."""
    lines = [f"{'#' * level} {_code(card['run_id'])}"]
    lines += [line for title, part in sections(card).items() for line in ("", f"{'#' * level}# {title}", "", *part)]
    if card["command"] is not None:
        command = _one_line(card["command"])
        lines += ["", f"{'#' * level}# Made again by", "", "```shell", command, "```"]
    return "\n".join(lines) + "\n"


def sections(card: Mapping[str, Any]) -> dict[str, list[str]]:
    """Title -> lines of Markdown; those of `FIRST` first, empty ones left out."""
    results = card["results"]
    measured = [
        f"- {metric}: {_code(100 * value['value'], '.2f')} % at the last evaluation, on "
        f"{value['n_examples']:,} development examples"
        for metric, value in results["metrics"].items()
    ]
    chosen = {
        "best evaluation, chosen on the same development set": results["best_evaluation"],
        "best evaluation at the final density, as published numbers are": results.get("best_at_final_density"),
    }
    measured += [
        f"- {words}: {best['metric']} {_code(100 * best['value'], '.2f')} % at step {_code(best['step'])}"
        for words, best in chosen.items()
        if best is not None
    ]
    measured.append(f"- kept: {_code(100 * results['remaining'], '.2f')} % of the encoder's prunable weights")
    if (spread := results["spread_over_heads"]) is not None:
        values = ", ".join(f"{_code(100 * value, '.1f')} over {name}" for name, value in spread.items())
        measured.append(
            f"- spread over heads (standard deviation, points): {values}; published, SMP-L on MNLI at 10 %: "
            "12.4 with the regulariser, 3.75 without"
        )
    settings = {SETTINGS[name].words: SETTINGS[name].text(value) for name, value in card["settings"].items()}
    made = card["provenance"]
    cost = {name: made[name] for name in _COST if name in made}
    cost |= {name: f"{results[name]:,.0f}" for name in ("trainable_parameters", "new_parameters")}
    parts = {
        "Results": measured,
        "Cost": _facts(cost),
        "Departs from the paper": [f"- {plain(sentence)}" for sentence in card["deviations"]],
        "Settings": _facts({"recipe": card["recipe"], **settings}),
        "Fingerprints": _facts(card["fingerprints"]),
        "Encoder": _facts(card["encoder"]),
        "Provenance": _facts({name: value for name, value in made.items() if name not in cost}),
    }
    return {title: lines for title, lines in parts.items() if lines}


def differences(configs: Mapping[str, RunConfig]) -> pd.DataFrame:
    """The settings in which runs differ.

    Parameters
    ----------
    configs
        By the label of the run.

    Returns
    -------
    DataFrame
        A row per setting, a column of text per run; "-" where a setting has no value. Column setting names it.
    """
    texts = pd.DataFrame(
        {
            label: {
                SETTINGS[name].words: "-" if value is None else _one_line(SETTINGS[name].text(value))
                for name, value in config.to_dict().items()
            }
            for label, config in configs.items()
        }
    )
    differing = texts.ne(texts.iloc[:, 0], axis=0).any(axis=1)
    return texts[differing].rename_axis("setting").reset_index()


def _facts(values: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            value = _pairs(value)
        elif isinstance(value, list) and all(isinstance(entry, Mapping) for entry in value):
            value = "; ".join(map(_pairs, value))
        if value is not None:
            lines.append(f"- {plain(name.replace('_', ' '))}: {_code(value)}")
    return lines


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items() if value is not None)


def _code(value: Any, form: str = "") -> str:
    if isinstance(value, float) and not form:
        form = "g"
    return f"`{_one_line(format(value, form))}`"


def _one_line(text: str) -> str:
    """Text of unknown origin that cannot end the code it stands in."""
    return " ".join(text.replace("`", "'").split())
