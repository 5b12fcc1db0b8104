"""What defines a run: every setting that can change its result, and the id that follows from them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from typing import Any

from smp_lab.errors import ConfigError
from smp_lab.methods import MEASURED, METHODS, NONE, SET, Method, get_method
from smp_lab.tasks import Task, get_task

HEADS = ("label_words", "linear")
REGRESSION_HEADS = ("poles", "mse")
SCHEDULES = ("cubic", "linear")
REGULARIZER_RAMPS = ("code", "paper")
KL_DIRECTIONS = ("teacher_student", "student_teacher")
PRECISIONS = ("bf16", "fp32")
_SHA256 = re.compile(r"[0-9a-f]{64}")

# Which methods look at a setting, where not all do. Elsewhere it is `UNUSED`: with two values of a setting that nothing
# looks at, runs would differ by name and be the same by content.
USED_BY: Mapping[str, Callable[[Method], bool]] = {
    "seed": lambda method: not method.is_control or method.name == "random",
    "epochs": lambda method: not method.is_control,
    "dropout": lambda method: not method.is_control,
    "score_learning_rate": lambda method: method.trains_scores,
    "weight_learning_rate": lambda method: method.trains_weights,
    "head_learning_rate": lambda method: not method.is_control,
    "regularizer": lambda method: method.trains_scores,
    "regularizer_ramp": lambda method: method.trains_scores,
    "schedule": lambda method: method.has_schedule,
    "schedule_fraction": lambda method: method.has_schedule,
    "schedule_steps": lambda method: method.has_schedule,
    "threshold": lambda method: method.by_threshold,
}
UNUSED: Mapping[str, Any] = {name: None for name in USED_BY} | {"seed": 0, "epochs": 0.0, "regularizer": 0.0}
# Of these, what a method that looks at them cannot do without.
_NEEDED = ("score_learning_rate", "weight_learning_rate", "schedule", "threshold")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All settings of one run. Equal configs give equal masks on the same machine, with as many threads.

    Another number of CPU threads sums in another order: gradients differ in their last bits, and masks drift apart from
    there. After 30 steps with one thread and two, 3 bits in 100,000 differed in fp32, and 6 in 100 in bf16. A set
    fraction is kept to the weight all the same.

    Data and encoder stand in it by the fingerprint of their content, so that a run is the same wherever its files lie,
    and another one where they differ.

    Parameters
    ----------
    task, method
        Names of `smp_lab.tasks.TASKS` and `smp_lab.methods.METHODS`.
    remaining
        Fraction of the encoder's prunable weights that is kept at the end, in (0, 1]; None where the method measures
        it, 1 where it has no mask.
    seed
        Of data order, dropout and random masks; 0 where nothing is drawn.
    base_model, base_model_sha256
        Name of the pre-trained encoder, and the sha256 of its weight file where it is the packaged one; of any other
        also of its config.json and its tokenizer's files.
    data_sha256
        Fingerprint of the training and development examples.
    train_examples
        How many training examples are used, from the first; None for all.
    head, label_words
        "label_words" scores a class by its word's embedding; "linear" trains a new layer. One word per class.
    regression_head
        "poles" or "mse" for a regression task with label words, None otherwise.
    epochs, batch_size, max_length
        Passes over the training data; examples a step; tokens an example at most.
    score_learning_rate, weight_learning_rate, head_learning_rate
        Start of the linear decay to 0; given where something of the kind is trained, None elsewhere.
    dropout
        Of the encoder while training; None keeps what the checkpoint declares.
    schedule, schedule_fraction, schedule_steps
        How the remaining fraction falls from 1, and N, when it arrives: as a fraction of all steps or as a step number
        (exactly one of the two). None where nothing follows it: for dense, l0 and controls.
    regularizer, regularizer_ramp
        lambda_max, the greatest weight of the regulariser, and how it grows: "code" over all steps, "paper" with the
        sparsity. 0 and None where no scores are trained.
    threshold
        Final tau of the methods that keep sigmoid(S) > tau; None for all others.
    teacher, kl_direction, distillation_temperature, distillation_weight
        The dense teacher as NAME@FINGERPRINT, or None: then the others are None too. NAME is a run id or a checkpoint's
        name, FINGERPRINT the start of the sha256 of its content.
    precision
        Of the matrix products: "bf16" (autocast) or "fp32".

    Raises
    ------
    ConfigError
        If a value is unknown or out of range, or two values contradict each other.
    """

    task: str
    method: str
    remaining: float | None
    seed: int = 0
    base_model: str
    base_model_sha256: str
    data_sha256: str
    train_examples: int | None = None
    head: str = "label_words"
    label_words: tuple[str, ...] | None
    regression_head: str | None = None
    epochs: float
    batch_size: int
    max_length: int
    score_learning_rate: float | None
    weight_learning_rate: float | None = None
    head_learning_rate: float | None = None
    dropout: float | None = None
    schedule: str | None = "cubic"
    schedule_fraction: float | None = None
    schedule_steps: int | None = None
    regularizer: float = 400.0
    regularizer_ramp: str | None = "code"
    threshold: float | None = None
    teacher: str | None = None
    kl_direction: str | None = None
    distillation_temperature: float | None = None
    distillation_weight: float | None = None
    precision: str

    def __post_init__(self) -> None:
        for field in fields(self):
            self._coerce(field.name, str(field.type))
        task, method = self.task_info, self.method_info
        self._check_remaining(method)
        self._check_ranges()
        self._check_used(method)
        self._check_head(task)
        self._check_schedule()
        self._check_distillation()

    def _coerce(self, name: str, kind: str) -> None:
        """Give numbers the one type their field has, so that 1 and 1.0 are the same config."""
        value = getattr(self, name)
        if value is None:
            if "None" not in kind:
                raise ConfigError(f"Setting {name} is missing.")
            return
        if kind.startswith("tuple") and isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
            object.__setattr__(self, name, tuple(value))
            return
        # The bound keeps out NaN, infinities, and whole numbers that are not floats.
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**63
        if kind.startswith("float") and number:
            object.__setattr__(self, name, float(value) + 0.0)  # -0.0 equals 0.0 and must not have another id
        elif kind.startswith("int") and number and value == int(value):
            object.__setattr__(self, name, int(value))
        elif not (kind.startswith("str") and isinstance(value, str)):
            raise ConfigError(f"Setting {name} = {value!r} is not of type {kind}.")

    def _check_remaining(self, method: Method) -> None:
        if method.remaining == SET:
            if self.remaining is None:
                raise ConfigError(f"Method {method.name!r} needs a remaining fraction in (0, 1], such as 0.1.")
            if not 0 < self.remaining <= 1:
                raise ConfigError(
                    f"Remaining fraction {self.remaining:g} is outside (0, 1]. It is the share of weights KEPT: "
                    "0.1 keeps 10 %."
                )
        elif method.remaining == MEASURED and self.remaining is not None:
            raise ConfigError(
                f"Method {method.name!r} takes no remaining fraction (got {self.remaining:g}): it comes out of "
                "training. Set the regulariser instead, and read the measured fraction from the run."
            )
        elif method.remaining == NONE and self.remaining != 1:
            raise ConfigError(
                f"Method {method.name!r} has no mask, so its remaining fraction is 1; got {self.remaining}. Leave it "
                "out."
            )

    def _check_ranges(self) -> None:
        for name in ("base_model_sha256", "data_sha256"):
            if not _SHA256.fullmatch(getattr(self, name)):
                raise ConfigError(f"Setting {name} = {getattr(self, name)!r} is not 64 lower-case hex digits.")
        for name, choices in (
            ("head", HEADS),
            ("regression_head", REGRESSION_HEADS),
            ("schedule", SCHEDULES),
            ("regularizer_ramp", REGULARIZER_RAMPS),
            ("kl_direction", KL_DIRECTIONS),
            ("precision", PRECISIONS),
        ):
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ConfigError(f"Unknown {name} {value!r}. Choose one of: {', '.join(choices)}.")
        for name, lowest in (
            ("seed", 0),
            ("train_examples", 1),
            ("batch_size", 1),
            ("max_length", 4),
            ("schedule_steps", 0),
            ("regularizer", 0),
            ("dropout", 0),
            ("schedule_fraction", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ConfigError(f"Setting {name} = {value:g} is below {lowest}.")
        for name in (
            "epochs",
            "score_learning_rate",
            "weight_learning_rate",
            "head_learning_rate",
            "distillation_temperature",
        ):
            value = getattr(self, name)
            if value is not None and value <= 0 and not (name == "epochs" and self.method_info.is_control):
                raise ConfigError(f"Setting {name} = {value:g} is not above 0.")
        for name, upper in (("schedule_fraction", 1.0), ("distillation_weight", 1.0), ("threshold", 1.0)):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= upper:
                raise ConfigError(f"Setting {name} = {value:g} is outside [0, {upper:g}].")
        if self.dropout is not None and self.dropout >= 1:
            raise ConfigError(f"Setting dropout = {self.dropout:g} is outside [0, 1).")

    def _check_used(self, method: Method) -> None:
        for name, uses in USED_BY.items():
            value = getattr(self, name)
            if not uses(method) and value != UNUSED[name]:
                users = ", ".join(other.name for other in METHODS.values() if uses(other))
                raise ConfigError(f"Method {method.name!r} has no use for {name}. These have: {users}.")
            if name in _NEEDED and uses(method) and value is None:
                raise ConfigError(f"Method {method.name!r} needs a {name}.")
        if self.head == "linear" and method.is_control:
            raise ConfigError(f"Method {method.name!r} is not trained, so a new linear head would say nothing.")
        if self.head == "label_words" and self.head_learning_rate is not None:
            raise ConfigError(
                f"Head {self.head!r} is frozen and has no use for head_learning_rate. Train one with head linear."
            )
        if self.head == "linear" and self.head_learning_rate is None:
            raise ConfigError("A linear head is trained and needs a head_learning_rate.")

    def _check_head(self, task: Task) -> None:
        if self.head == "label_words":
            words = self.label_words or ()
            want = 1 if self.regression_head == "mse" else (len(task.classes) or 2)
            if len(words) != want:
                raise ConfigError(f"Task {task.name!r} needs {want} label words; got {len(words)}: {list(words)}.")
            if len(set(words)) != len(words):
                raise ConfigError(f"Label words must differ; got {list(words)}.")
        elif self.label_words is not None:
            raise ConfigError("A linear head has no label words.")
        needs_kind = task.is_regression and self.head == "label_words"
        if needs_kind != (self.regression_head is not None):
            raise ConfigError(
                f"Setting regression_head = {self.regression_head!r} does not fit task {task.name!r} with head "
                f"{self.head!r}: it is for a regression task with label words."
            )

    def _check_schedule(self) -> None:
        if self.schedule is not None and (self.schedule_fraction is None) == (self.schedule_steps is None):
            raise ConfigError("Set exactly one of schedule_fraction and schedule_steps.")
        if self.regularizer and self.regularizer_ramp is None:
            raise ConfigError(f"A regularizer of {self.regularizer:g} needs a regularizer_ramp.")
        if self.regularizer_ramp == "paper" and self.schedule is None:
            raise ConfigError(
                f"Method {self.method!r} has no schedule for a regularizer_ramp 'paper' to follow. Choose code."
            )

    def _check_distillation(self) -> None:
        details = (self.kl_direction, self.distillation_temperature, self.distillation_weight)
        if (self.teacher is None) != all(value is None for value in details) or (self.teacher and None in details):
            raise ConfigError(
                "Distillation needs all of teacher, kl_direction, distillation_temperature and distillation_weight, "
                "or none of them."
            )
        if self.teacher is None:
            return
        if self.task_info.is_regression:
            raise ConfigError(
                f"Task {self.task!r} is a regression: a teacher of it gives a number and not class probabilities, and "
                "there is no KL divergence between numbers. Train it without a teacher."
            )
        if self.method_info.is_control:
            raise ConfigError(f"Method {self.method!r} is not trained, so a teacher has no use there.")

    @property
    def task_info(self) -> Task:
        """Entry of the task table."""
        return get_task(self.task)

    @property
    def method_info(self) -> Method:
        """Entry of the method table."""
        return get_method(self.method)

    @property
    def run_id(self) -> str:
        """``{task}-{method}-r{remaining}-s{seed}-{hash8}``; the words are for eyes, the hash is the identity."""
        remaining = "free" if self.remaining is None else f"{self.remaining:g}"
        return f"{self.task}-{self.method}-r{remaining}-s{self.seed}-{self.sha256[:8]}"

    @cached_property
    def sha256(self) -> str:
        """Of `canonical_json`; pages ask for it thousands of times."""
        return hashlib.sha256(canonical_json(self.to_dict()).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, defaults included."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """Inverse of `to_dict`.

        Raises
        ------
        ConfigError
            If a setting is unknown or missing, or a value does not fit.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"Unknown settings: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
        required = {field.name for field in fields(cls) if field.default is MISSING}
        if missing := sorted(required - set(values)):
            raise ConfigError(f"Settings are missing: {', '.join(missing)}.")
        return cls(**values)


def canonical_json(value: Any) -> str:
    """JSON with one spelling per value: sorted keys, no blanks, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
