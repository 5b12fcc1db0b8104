"""The settings of a run, in one table. What a setting is stands here and nowhere else.

The checks of `RunConfig`, the options of the command line and their help, what a grid may name, the run card and forms
derive from it. What contradicts what between settings is in `smp_lab.config`, what a recipe gives in
`smp_lab.recipes`, what the paper has in `smp_lab.paper`.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from smp_lab.errors import ConfigError
from smp_lab.methods import METHODS, SHARE, Method
from smp_lab.tasks import Task
from smp_lab.tasks.kinds import NUMBER

_TYPES = {int: "a whole number", float: "a number", str: "a text", tuple: "a list of words"}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a run.

    Parameters
    ----------
    name
        As a field of `RunConfig`, in grids, and as an option with hyphens.
    type
        str, int, float, or tuple for a list of words.
    help
        What it is, in one plain sentence.
    optional
        True where it may be None: nothing looks at it then, or what the help says.
    choices
        Allowed texts, each with what it does in words, which are empty where the name says it.
    spelled
        True where a choice is shown by what it does, since its name says where it comes from.
    above, lowest, below, highest
        Bounds of a number: the first and third are outside what is allowed, the others inside.
    unit
        What a number counts.
    default
        In words, what it is where nobody names it; "" where a recipe has it.
    methods, tasks
        Which of them look at it.
    unused
        Its value where its method does not look at it. With two values of it there, runs would differ by name and be
        the same by content.
    needed
        True where a method that looks at it cannot do without.
    since, neutral
        The version in which it was added and the value at which runs are what they were before, frozen for ever: at
        this value it is left out of a run's identity, so that older runs keep theirs. None for those of the beginning.
    """

    name: str
    type: type
    help: str
    optional: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)
    spelled: bool = False
    above: float | None = None
    lowest: float | None = None
    below: float | None = None
    highest: float | None = None
    unit: str = ""
    default: str = ""
    methods: Callable[[Method], bool] = lambda _: True
    tasks: Callable[[Task], bool] = lambda _: True
    unused: Any = None
    needed: bool = False
    since: str | None = None
    neutral: Any = None

    def used_by(self, method: Method, task: Task | None = None) -> bool:
        """Whether a run of this method, and of this task where one is named, looks at it."""
        return self.methods(method) and (task is None or self.tasks(task))

    @property
    def words(self) -> str:
        """Its name as people write it."""
        return self.name.replace("kl_", "KL_").replace("_", " ")

    @property
    def users(self) -> list[str]:
        """Names of the methods that look at it."""
        return [method.name for method in METHODS.values() if self.methods(method)]

    @property
    def sentence(self) -> str:
        """Its help with its choices and what each of them does."""
        if not self.choices:
            return self.help
        known = [f"{choice} ({words})" if words else choice for choice, words in self.choices.items()]
        return f"{self.help.removesuffix('.')}: {', '.join(known[:-1])} or {known[-1]}."

    def text(self, value: Any) -> str:
        """A value as people write it: ``("yes", "no")`` as "yes/no", ``8.0`` as "8"."""
        if isinstance(value, (list, tuple)):
            return "/".join(map(str, value))
        if isinstance(value, float):
            return f"{value:g}"
        return self.choices[value] if self.spelled and value in self.choices else str(value)

    def coerced(self, value: Any) -> Any:
        """The value in the one type of this setting, so that 1 and 1.0 are the same.

        Raises
        ------
        ConfigError
            If it has another type, or is None where there must be one.
        """
        if value is None:
            if self.optional:
                return None
            raise ConfigError(f"Setting {self.name} is missing.")
        if isinstance(value, (int, float)) and not isinstance(value, bool) and self.type in (int, float):
            # The bound keeps out NaN, infinities, and whole numbers that are not floats.
            if not abs(value) < 2**63:
                raise ConfigError(f"{self._said(value)} is no number between {-(2**63):.2g} and {2**63:.2g}.")
            if self.type is float:
                return float(value) + 0.0  # -0.0 equals 0.0 and must not have another id
            if value == math.floor(value):
                return int(value)
        elif self.type is tuple and isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value):
            return tuple(value)
        elif self.type is str and isinstance(value, str):
            return value
        raise ConfigError(f"{self._said(value)} is not {_TYPES[self.type]}.")

    def _said(self, value: Any) -> str:
        return f"Setting {self.name} = {textwrap.shorten(repr(value), 60, placeholder=' ...')}"

    def check_range(self, value: Any) -> None:
        """Check a coerced value against choices and bounds.

        Raises
        ------
        ConfigError
            If it is none of the choices, or out of bounds.
        """
        if value is None:
            return
        if self.choices and value not in self.choices:
            raise ConfigError(f"Unknown {self.name} {value!r}. Choose one of: {', '.join(self.choices)}.")
        if self.above is not None and value <= self.above:
            raise ConfigError(f"Setting {self.name} = {value:g} is not above {self.above:g}.")
        if self.lowest is not None and value < self.lowest:
            raise ConfigError(f"Setting {self.name} = {value:g} is below {self.lowest:g}.")
        if self.highest is not None and value > self.highest:
            raise ConfigError(f"Setting {self.name} = {value:.10g} is outside [{self.lowest:g}, {self.highest:.10g}].")
        if self.below is not None and value >= self.below:
            raise ConfigError(f"Setting {self.name} = {value:g} is outside [{self.lowest:g}, {self.below:g}).")


def _trained(method: Method) -> bool:
    return not method.is_control


def _draws(method: Method) -> bool:
    return not method.is_control or method.name == "random"


_OF_A_TEACHER: Mapping[str, Any] = {"methods": _trained, "tasks": lambda task: task.kind.gives_probabilities}


def setting(help: str, **facts: Any) -> Any:
    """A field of `RunSettings`, with what its `Setting` has beside name and type."""
    return field(default=facts.get("neutral") if "since" in facts else MISSING, metadata={"help": help, **facts})


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """All settings of a run, unchecked; `smp_lab.config.RunConfig` checks them."""

    task: str = setting("What the mask is trained for.")
    task_definition: str | None = setting(
        "Text fields, classes, label words and metrics of a task of one's own, as JSON.", since="0.2.0"
    )
    method: str = setting("How the mask is made.")
    remaining: float | None = setting(
        # Its bounds go with its method: see `RunConfig`.
        "Share of the encoder's prunable weights that is KEPT, in (0, 1].",
        unit="of the encoder's prunable weights",
    )
    seed: int = setting(
        "Seed of all that is drawn at random: data order, dropout, random masks, gates.",
        lowest=0,
        # numpy's generators take no more.
        highest=2**32 - 1,
        methods=_draws,
        unused=0,
    )
    base_model: str = setting("Name of the pre-trained encoder.")
    base_model_sha256: str = setting(
        "Of the packaged encoder's weight file; of any other also of its config.json and its tokenizer."
    )
    data_sha256: str = setting("Fingerprint of the training and development examples.")
    train_examples: int | None = setting("Use the first N training examples.", lowest=1, unit="examples", default="all")
    head: str = setting(
        "What scores the classes.",
        choices={"label_words": "frozen", "linear": "trained"},
        default="linear where a method trains weights or the task has no label words, else label_words",
    )
    label_words: tuple[str, ...] | None = setting("The word that scores each class.", default="the task's")
    regression_head: str | None = setting(
        "How label words score a number.",
        choices={"poles": "a score between two words", "mse": "one word's score as it is"},
        tasks=lambda task: task.kind is NUMBER,
        default="the recipe's; desk: poles",
    )
    epochs: float = setting(
        "Passes over the training data.",
        above=0,
        unit="passes",
        methods=_trained,
        unused=0.0,
        default="the recipe's, at most 4 for dense",
    )
    batch_size: int = setting("Examples a step.", lowest=1, unit="examples")
    max_length: int = setting(
        "Most tokens of an example; the rest is cut off, but a text that holds an answer is read in windows.",
        lowest=4,
        unit="tokens",
    )
    score_learning_rate: float | None = setting(
        "Learning rate of the scores; decays linearly to 0.",
        above=0,
        methods=lambda method: method.trains_scores,
        needed=True,
        default="the recipe's; 0.01 where weights are trained too",
    )
    weight_learning_rate: float | None = setting(
        "Learning rate of the encoder's weights; decays linearly to 0.",
        above=0,
        methods=lambda method: method.trains_weights,
        needed=True,
    )
    head_learning_rate: float | None = setting(
        "Learning rate of a linear head; decays linearly to 0.",
        above=0,
        methods=_trained,
        default="the recipe's rate of the weights where a method trains them, else 3e-5",
    )
    dropout: float | None = setting(
        "Dropout of the encoder while it is trained.",
        lowest=0,
        below=1,
        methods=_trained,
        default="the checkpoint's",
    )
    schedule: str | None = setting(
        "How the remaining fraction falls from 1.",
        choices={"cubic": "", "linear": ""},
        methods=lambda method: method.has_schedule,
        needed=True,
        default="the recipe's; desk: cubic",
    )
    schedule_fraction: float | None = setting(
        "Share of all steps after which the final fraction, or tau, is reached.",
        lowest=0,
        highest=1,
        unit="of all steps",
        methods=lambda method: method.has_schedule,
    )
    schedule_steps: int | None = setting(
        "Number of steps after which it is reached, in place of their share.",
        lowest=0,
        unit="steps",
        methods=lambda method: method.has_schedule,
    )
    share_temperature: float = setting(
        "p in the share rule's sigmoid(S / p): above 1 it evens out what layers of a type keep.",
        above=0,
        methods=lambda method: method.masking == SHARE,
        unused=1.0,
        since="0.2.0",
        neutral=1.0,
    )
    regularizer: float = setting(
        "Greatest weight of the score regulariser, lambda_max; 0 is off.",
        lowest=0,
        methods=lambda method: method.trains_scores,
        unused=0.0,
    )
    regularizer_ramp: str | None = setting(
        "How the weight of the regulariser grows from 0.",
        choices={"code": "over all steps", "paper": "with the sparsity"},
        spelled=True,
        methods=lambda method: method.trains_scores,
        default="the recipe's; desk: code",
    )
    threshold: float | None = setting(
        "Final tau: weights with sigmoid(S) > tau are kept.",
        lowest=0,
        highest=1,
        methods=lambda method: method.by_threshold,
        needed=True,
        default="0.1",
    )
    teacher: str | None = setting(
        "Learn from a dense fine-tuned model as well: the id of a dense run here whose weights are kept, or a "
        "folder or a model of the Hugging Face hub with a sequence-classification head.",
        **_OF_A_TEACHER,
        default="none",
    )
    kl_direction: str | None = setting(
        "Which way the student's distance from its teacher is taken.",
        choices={"teacher_student": "KL(teacher || student)", "student_teacher": "KL(student || teacher)"},
        spelled=True,
        **_OF_A_TEACHER,
        default="the recipe's; desk: teacher_student",
    )
    distillation_temperature: float | None = setting(
        "Temperature T of both models' softmax.", above=0, **_OF_A_TEACHER, default="2"
    )
    distillation_weight: float | None = setting(
        "Weight w: the loss is (1 - w) * task loss + w * T^2 * KL.",
        lowest=0,
        highest=1,
        **_OF_A_TEACHER,
        default="0.5",
    )
    precision: str = setting("Number format of the matrix products.", choices={"bf16": "autocast", "fp32": ""})


def _entry(name: str, hint: Any) -> Setting:
    optional = isinstance(hint, UnionType)
    plain = get_args(hint)[0] if optional else hint
    facts = RunSettings.__dataclass_fields__[name].metadata
    return Setting(name=name, type=get_origin(plain) or plain, optional=optional, **facts)


SETTINGS: Mapping[str, Setting] = {name: _entry(name, hint) for name, hint in get_type_hints(RunSettings).items()}

# What a run is of. All others can be named beside a recipe: on the command line, in a grid, in a form.
IDENTITY = ("task", "task_definition", "method", "remaining", "seed", "base_model", "base_model_sha256", "data_sha256")
CHANGEABLE = tuple(name for name in SETTINGS if name not in IDENTITY)
