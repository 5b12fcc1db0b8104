"""What a run is called: its task, method and fraction of weights, and what sets it apart, in words."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError
from smp_lab.methods import MEASURED, get_method
from smp_lab.recipes import draft
from smp_lab.settings import SETTINGS
from smp_lab.tasks import TASKS

# Runs of one variant may differ in these: the level, and what a schedule has to be told to get there.
_SCHEDULE = frozenset({"schedule_fraction", "schedule_steps"})
_ALONG_A_LINE = frozenset({"remaining", "seed"}) | _SCHEDULE
# A method that measures the remaining fraction gets to another one by these.
_LEVELS_OF_MEASURED = frozenset({"regularizer", "threshold"})
# What comes and goes with another setting, which says enough: label words with the head, a ramp with the regulariser.
_FOLLOWS = frozenset(
    {
        "label_words",
        "head_learning_rate",
        "regularizer_ramp",
        "kl_direction",
        "distillation_temperature",
        "distillation_weight",
    }
)
# What recipes have by task; a mask's other settings are the same for all tasks.
_BY_TASK = frozenset(
    {
        "task",
        "task_definition",
        "data_sha256",
        "train_examples",
        "label_words",
        "regression_head",
        "epochs",
        "batch_size",
        "max_length",
        "teacher",
    }
)
# Said apart from a variant: an encoder by its name, which differs where its fingerprint does but for altered copies.
_ORIGIN = frozenset({"base_model", "base_model_sha256", "data_sha256"})


def percent(fraction: float) -> str:
    """``0.1`` as "10 %", ``0.1234`` as "12.3 %"; what is not the whole is never written as 100 %."""
    if 0.9995 <= fraction < 1:
        return f"{math.floor(1e4 * fraction) / 100:g} %"
    return f"{100 * fraction:.3g} %"


def method_name(method: str) -> str:
    """A method's short title."""
    return get_method(method).short_title


# What Markdown reads as its own: every ASCII punctuation mark may be escaped (CommonMark 0.31, section 2.4).
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# Addresses become links, names between colons signs, even where each mark is escaped. An invisible sign parts them.
_JOINED = re.compile(r"(?<=[:@])|(?<=www)(?=\.)", re.IGNORECASE)
_WORD_JOINER = "\u2060"


def visible(text: str) -> str:
    """The text in one line, with signs that nobody sees, or that turn the direction of others, by their number."""
    return "".join(
        rf"\u{ord(sign):04x}" if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else sign
        for sign in " ".join(text.split())
    )


def plain(text: str) -> str:
    """Markdown that shows this text and nothing else: no link, no image, no sign that its writer did not write."""
    return _PUNCTUATION.sub(r"\\\1", _JOINED.sub(_WORD_JOINER, visible(text)))


def of_each_encoder(sentences: Mapping[tuple[str, str], str]) -> str:
    """Markdown of what is said of encoders, by name and fingerprint: a line for each, named if there are more."""
    return "  \n".join(
        f"{plain(name)}: {words}" if len(sentences) > 1 else words for (name, _), words in sentences.items() if words
    )


def without_tags(text: str) -> str:
    """The text as `visible` has it, for figures: plotly reads tags in all names, and links in them."""
    return visible(text).translate(str.maketrans("<>", "()"))


def run_labels(runs: pd.DataFrame) -> dict[str, str]:
    """Run id -> what pickers, legends and tables call it among these runs.

    Parameters
    ----------
    runs
        Rows of `run_table.run_table`. A variant is relative to all runs of that table, so a run of unusual settings
        never bears the label of a usual one, whatever else is shown.

    Returns
    -------
    dict
        Task, method, the fraction it was asked to keep (the kept one where a method is not asked for any), the variant
        of a run of unusual settings, and the encoder where there are several. Where runs would have one label, also the
        settings in which they differ, then the seed, and the hash of the settings where nothing else distinguishes
        them.
    """
    several = len(set(runs["base_model"])) > 1
    columns = ["task", "method", "level", "remaining", "variant", "base_model"]
    known, names = runs.set_index("run_id"), []
    for task, method, level, remaining, variant, base_model in runs[columns].itertuples(index=False):
        kept = f"{percent(remaining)} kept" if math.isnan(level) else percent(level)
        parts = [TASKS[task].title, method_name(method), kept, variant, base_model if several else ""]
        names.append(" · ".join(part for part in parts if part))
    labels = pd.Series(names, known.index, dtype="str")
    for _, alike in known.groupby(labels):
        if len(set(alike["settings"])) > 1:
            apart = _apart([json.loads(settings) for settings in alike["settings"]])
            labels[alike.index] += [f" · {words}" if words else "" for words in apart]
    several_seeds = known.groupby(labels)["seed"].transform("nunique") > 1
    labels = labels.where(~several_seeds, labels + " · seed " + known["seed"].astype(str))
    labels = labels.where(~labels.duplicated(keep=False), labels + " · " + labels.index.str[-8:])
    return dict(zip(known.index, labels.map(without_tags), strict=True))


def variants(configs: Sequence[RunConfig]) -> list[str]:
    """What sets each run apart from the usual run of its task, method and encoder among these, in words.

    Runs of one variant stand on one line of a figure. Of each setting the most common value is the usual one: on the
    task for what recipes have by task, over all tasks for the others, so that a row of several tasks holds one setting;
    of equally common values the desk recipe's. Usual is in any case to have no teacher, the recipe's head on a frozen
    encoder, and a regulariser where the recipe has one. A schedule may be another one at another level; runs of one
    level that differ in nothing but their schedules are named by it, so that runs of one task, encoder, data, method,
    level and variant are replicates.

    Returns
    -------
    list of str
        As "head linear, epochs 3"; empty for a usual run. What comes and goes with another setting is left out where
        the rest still distinguishes the runs.
    """
    every = [config.to_dict() for config in configs]
    in_scope: dict[tuple[str, ...], Counter[Hashable]] = {}
    for config, settings in zip(configs, every, strict=True):
        for name, value in settings.items():
            in_scope.setdefault((name, *_scope(config, name)), Counter())[value] += 1
    kinds = {_alike(config): config for config in configs}
    counts = {key: {name: in_scope[name, *_scope(config, name)] for name in every[0]} for key, config in kinds.items()}
    common = {key: _most_common(counts[key], _recipe(config)) for key, config in kinds.items()}
    words = []
    for config, settings in zip(configs, every, strict=True):
        ordinary, hidden = common[_alike(config)], _ALONG_A_LINE | _levels(config) | _ORIGIN
        unusual = {name: value for name, value in settings.items() if value != ordinary[name] and name not in hidden}
        following = {name for name in unusual if name in _FOLLOWS and None in (settings[name], ordinary[name])}
        few = {name: _short(name, unusual[name]) for name in unusual if name not in following}
        words.append((config.method, _in_words(few), _in_words(unusual)))
    table = pd.DataFrame(words, columns=["method", "few", "all"])
    enough = table.groupby(["method", "few"])["all"].transform("nunique") == 1
    return _with_schedules(configs, every, table["few"].where(enough, table["all"]).tolist(), counts)


# Recipes are of a task, a method and an encoder: of others another value is the usual one.
_Alike = tuple[str, str, str]


def _alike(config: RunConfig) -> _Alike:
    return config.task, config.method, config.base_model


def _scope(config: RunConfig, name: str) -> tuple[str, ...]:
    """Among which runs a setting's values are counted."""
    return _alike(config) if name in _BY_TASK else _alike(config)[1:]


def _most_common(counts: Mapping[str, Counter[Hashable]], recipe: Mapping[str, Any]) -> dict[str, Hashable]:
    usual = {
        name: max(counter, key=lambda value: (counter[value], value == recipe.get(name)))
        for name, counter in counts.items()
    }
    if not recipe:
        return usual
    # Claims and tables of the paper are about runs with these, whatever most of the runs here have.
    ours: dict[str, Hashable] = {"teacher": None}
    if not get_method(recipe["method"]).trains_weights:
        ours["head"] = recipe["head"]
    if recipe["regularizer"] and not usual["regularizer"]:
        with_it = {value: count for value, count in counts["regularizer"].items() if value}
        ours["regularizer"] = max(with_it, key=with_it.__getitem__, default=recipe["regularizer"])
    if any(usual[name] != value for name, value in ours.items()):
        usual |= ours | {name: recipe[name] for name in _FOLLOWS}
    return usual


def _recipe(config: RunConfig) -> Mapping[str, Any]:
    """What the desk recipe has; empty where it has nothing."""
    try:
        return draft(config.task, config.method, remaining=config.remaining, encoder=config.base_model).to_dict()
    except ConfigError:
        return {}


def _levels(config: RunConfig) -> frozenset[str]:
    return _LEVELS_OF_MEASURED if config.method_info.remaining == MEASURED else frozenset()


def _with_schedules(
    configs: Sequence[RunConfig],
    settings: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    counts: Mapping[_Alike, Mapping[str, Counter[Hashable]]],
) -> list[str]:
    """Names of variants with the schedule where runs of one name and level are no replicates."""
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for place, (config, name) in enumerate(zip(configs, names, strict=True)):
        same = ("task", "method", "remaining", *sorted(_ORIGIN | _levels(config)))
        groups.setdefault((name, *(getattr(config, part) for part in same)), []).append(place)
    found = list(names)
    for places in groups.values():
        first = configs[places[0]]
        apart = _apart([settings[place] for place in places], counts[_alike(first)])
        for place, words in zip(places, apart, strict=True):
            found[place] = ", ".join(filter(None, (names[place], words)))
    return found


def _apart(settings: Sequence[Mapping[str, Any]], counts: Mapping[str, Counter[Hashable]] | None = None) -> list[str]:
    """Of each run the settings in which these runs differ and it is not like most of them, in words.

    Of equally common values the usual one is that with the higher count in `counts`.
    """
    usual = {}
    for name in settings[0]:
        here = Counter(_hashable(run[name]) for run in settings)
        if len(here) > 1 and name != "seed" and name not in _ORIGIN:
            overall = counts[name] if counts else here
            usual[name] = max(here, key=lambda value: (here[value], overall[value]))
    return [
        _in_words({name: run[name] for name, value in usual.items() if _hashable(run[name]) != value})
        for run in settings
    ]


def _hashable(value: Any) -> Hashable:
    return tuple(value) if isinstance(value, list) else value


def _in_words(settings: Mapping[str, object]) -> str:
    # Of two ways to say one thing, such as a schedule in steps or as a fraction, the one that is used says enough.
    said = {name: value for name, value in settings.items() if value is not None} or settings
    return ", ".join(
        f"{SETTINGS[name].words} {SETTINGS[name].default if value is None else SETTINGS[name].text(value)}"
        for name, value in said.items()
    )


def _short(name: str, value: Hashable) -> Hashable:
    """A teacher without its fingerprint and the hash of its settings."""
    if name != "teacher" or value is None:
        return value
    return re.sub(r"-[0-9a-f]{8}$", "", str(value).partition("@")[0])
