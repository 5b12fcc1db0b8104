"""A form made from the table of settings: what a run is of, and whatever else can be named beside a recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from smp_lab.config import RunConfig
from smp_lab.grid import as_options
from smp_lab.methods import METHODS, SET, get_method
from smp_lab.paper import CODE, TEXT, Stated, stated
from smp_lab.paths import DATA_VARIABLES, named_path
from smp_lab.recipes import PACKAGED_ENCODER, RECIPES, draft, get_recipe, method_settings
from smp_lab.settings import CHANGEABLE, SETTINGS, Setting
from smp_lab.tasks import BUILT_IN, TASKS, get_task
from smp_lab.ui import messages, own_data, safety

_PREFIX = "new_"
_DATA = f"{_PREFIX}data_dir"
# Name, what it says beside itself, and what it fills in.
PRESETS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "60-second demo": (
        "A synthetic task with the packaged encoder: half of the weights go, and the mask learns the task, within a "
        "minute or two. Measure says how long it takes here.",
        {
            "task": "toy-sentiment",
            "remaining": 0.5,
            "epochs": 3.0,
            "train_examples": 1000,
            "batch_size": 16,
        },
    ),
    "lecture": (
        "Sentiment of film reviews (SST-2) at 10 % of the weights: one epoch, some ten minutes on a desk.",
        {"task": "sst2", "remaining": 0.1},
    ),
    **{
        name: (
            f"All settings as recipe {recipe} has them.",
            # A level that every recipe has for this task.
            {"task": "rte", "remaining": 0.8, "recipe": recipe},
        )
        for name, recipe in (("desk recipe", "desk"), ("paper (code)", CODE), ("paper (text)", TEXT))
    },
}
# Tasks whose examples lie in files of their own.
_OF_FILES = tuple(name for name in BUILT_IN if not TASKS[name].synthetic)
_FOLDERS = {
    "glue": ("Folder of GLUE's files", "Tab-separated: RTE/train.tsv in it, and so on."),
    "squad": ("Folder of SQuAD's files", "train-v1.1.json and dev-v1.1.json in it."),
}
_FIRST = {"task": "toy-sentiment", "method": "smp_s", "remaining": 0.5, "seed": 0, "recipe": RECIPES[0]}


def fill(values: Mapping[str, Any]) -> None:
    """Fill the form with these settings and empty all others; for callbacks, and before it is drawn."""
    for name in (*_FIRST, "encoder", *CHANGEABLE):
        st.session_state.pop(_PREFIX + name, None)
    for name, value in values.items():
        st.session_state[_PREFIX + name] = " ".join(value) if isinstance(value, tuple) else value


def fill_from(config: RunConfig) -> None:
    """Fill the form with the settings of a run, those alone that its recipe does not have anyhow."""
    usual = draft(config.task, config.method, remaining=config.remaining)
    same = ("task", "method", "remaining", "seed")
    differing = [name for name in CHANGEABLE if getattr(config, name) != getattr(usual, name)]
    values = {name: getattr(config, name) for name in (*same, *differing)}
    if config.teacher is not None:
        # Without its fingerprint, which a new run looks at anew.
        values["teacher"] = config.teacher.rpartition("@")[0]
    if config.task_definition is not None:
        # Its record has the task and no place of its data.
        values["task"] = own_data.OWN
    fill({name: value for name, value in values.items() if value is not None} | {"encoder": config.base_model})


@messages.sentence_instead()
def training_form() -> tuple[dict[str, Any], own_data.OwnData | None] | None:
    """Draw the form.

    Returns
    -------
    tuple or None
        Arguments of `draft`, and the task of one's own that they name; None where something is missing or contradicts
        itself, which is said.
    """
    for name, value in _FIRST.items():
        st.session_state.setdefault(_PREFIX + name, value)
    asked: dict[str, Any] = {}
    first = st.columns(4)
    asked["task"] = first[0].selectbox(
        "Task",
        [*BUILT_IN, own_data.OWN],
        format_func=lambda name: TASKS[name].title if name in TASKS else "Own data",
        key=f"{_PREFIX}task",
        help=SETTINGS["task"].help,
    )
    asked["method"] = first[1].selectbox(
        "Method",
        list(METHODS),
        format_func=lambda name: METHODS[name].title,
        key=f"{_PREFIX}method",
        help=SETTINGS["method"].help,
    )
    method = get_method(asked["method"])
    asked["remaining"] = first[2].number_input(
        "Asked to keep (fraction)",
        min_value=0.0,
        max_value=1.0,
        step=0.05,
        format="%.3g",
        key=f"{_PREFIX}remaining",
        help=SETTINGS["remaining"].help,
        disabled=method.remaining != SET,
    )
    if method.remaining != SET:
        asked["remaining"] = None
    asked["seed"] = first[3].number_input("Seed", min_value=0, step=1, key=f"{_PREFIX}seed", help=SETTINGS["seed"].help)
    own = own_data.pick() if asked["task"] == own_data.OWN else None
    if own is not None:
        asked["task"] = own.task.name
    elif asked["task"] == own_data.OWN:
        return None
    task, examples = get_task(asked["task"]), own.examples if own else None
    second = st.columns(3)
    asked["encoder"] = _encoder(second[0])
    usual_place = os.environ.get(DATA_VARIABLES[task.files]) or "none: from the hub"
    label, inside = _FOLDERS[task.files]
    second[1].text_input(
        label,
        key=_DATA,
        placeholder="generated" if task.synthetic else "as its file says" if own else usual_place,
        help=inside,
        disabled=task.synthetic or own is not None or safety.encoders() is not None,
        max_chars=300,
    )
    asked["recipe"] = second[2].selectbox(
        "Recipe", RECIPES, key=f"{_PREFIX}recipe", help="Has all settings that are not named below."
    )
    # Its field stands below.
    taught = bool(st.session_state.get(f"{_PREFIX}teacher"))
    usual = get_recipe(
        asked["recipe"],
        task.name,
        method,
        asked["remaining"],
        encoder=asked["encoder"],
        taught=taught,
        examples=st.session_state.get(f"{_PREFIX}train_examples") or examples,
    )
    recipe = method_settings(usual, method)
    if not task.label_words:
        recipe["head"] = "linear"
    paper = [
        stated(reading, task.name, method, asked["remaining"], encoder=asked["encoder"], taught=taught)
        for reading in (CODE, TEXT)
    ]
    with st.expander("All other settings: empty means the recipe's; the paper's value stands beside the name"):
        columns = st.columns(3)
        shown = [setting for name in CHANGEABLE if (setting := SETTINGS[name]).used_by(method, task)]
        for place, setting in enumerate(shown):
            with columns[place % 3]:
                value = _field(setting, recipe.get(setting.name), _of_paper(setting, paper))
            if value not in (None, ""):
                asked[setting.name] = tuple(value.split()) if setting.type is tuple else value
    draft(**asked)
    return asked, own


def _encoder(place: Any) -> str:
    allowed = safety.encoders()
    key = f"{_PREFIX}encoder"
    st.session_state.setdefault(key, PACKAGED_ENCODER)
    if allowed is not None:
        with messages.slot():
            if (asked := st.session_state[key]) not in allowed:
                messages.warning(f"Encoder {asked!r} cannot be named from another machine. The form has {allowed[0]}.")
        return str(place.selectbox("Encoder", allowed, key=key, help="Others cannot be named from another machine."))
    words = "minilm-l6 is the packaged one; else a folder, or a model of the Hugging Face hub."
    return str(place.text_input("Encoder", key=key, help=words, max_chars=300)).strip() or PACKAGED_ENCODER


def _of_paper(setting: Setting, paper: Sequence[Mapping[str, Stated]]) -> str:
    """What the authors' code and the paper's text have for it, in a few words; empty where neither says it."""
    said = {
        reading: setting.text(of[setting.name].value)
        for reading, of in zip(("code", "text"), paper, strict=True)
        if setting.name in of
    }
    if len(said) == 2 and len(set(said.values())) == 1:
        return f", paper: {said['text']}"
    return f", paper's {', '.join(f'{reading}: {value}' for reading, value in said.items())}" if said else ""


def _field(setting: Setting, recipe: Any, paper: str) -> Any:
    """A widget for one setting; None or "" where nothing is named."""
    label = f"{setting.words[0].upper()}{setting.words[1:]}" + (f" ({setting.unit})" if setting.unit else "") + paper
    usual = f"recipe: {setting.text(recipe)}" if recipe is not None else setting.default or "recipe's"
    key = _PREFIX + setting.name
    if setting.choices:
        return st.selectbox(
            label,
            list(setting.choices),
            index=None,
            placeholder=usual,
            key=key,
            help=setting.sentence,
            format_func=lambda name: f"{name}: {setting.choices[name]}" if setting.choices[name] else name,
        )
    if setting.type in (int, float):
        return st.number_input(
            label,
            value=None,
            placeholder=usual,
            key=key,
            help=setting.sentence,
            step=1 if setting.type is int else None,
            format=None if setting.type is int else "%.6g",
        )
    return st.text_input(label, placeholder=usual, key=key, help=setting.sentence, max_chars=300)


def data_folder(asked: Mapping[str, Any]) -> str | None:
    """Folder of data that the form names; None for a task that needs none, and for the default."""
    named = str(st.session_state.get(_DATA, "")).strip()
    return str(named_path(named)) if named and asked["task"] in _OF_FILES else None


def words_of(asked: Mapping[str, Any], data: str | None = None, own: own_data.OwnData | None = None) -> list[str]:
    """The same as options of ``smp-lab train``; what is the default anyhow is left out."""
    usual = {"encoder": PACKAGED_ENCODER, "recipe": RECIPES[0]}
    named = {name: value for name, value in asked.items() if usual.get(name) != value}
    if data is not None:
        named[f"{get_task(str(asked['task'])).files}_dir"] = data
    if own is not None:
        named = {"task_file": own.file} | {name: value for name, value in named.items() if name != "task"}
    return as_options(named)
