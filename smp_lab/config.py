"""What defines a run: every setting that can change its result, and the id that follows from them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from smp_lab.errors import ConfigError
from smp_lab.methods import MEASURED, NONE, SET, Method, get_method
from smp_lab.settings import SETTINGS, RunSettings
from smp_lab.tasks import Task, get_task
from smp_lab.tasks.kinds import NUMBER
from smp_lab.tasks.own import defined_task

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class RunConfig(RunSettings):
    """All settings of one run. Equal configs give equal masks on the same machine, with as many threads.

    Another number of CPU threads sums in another order: gradients differ in their last bits, and masks drift apart from
    there. After 30 steps with one thread and two, 3 bits in 100,000 differed in fp32, and 6 in 100 in bf16. A set
    fraction is kept to the weight all the same.

    A task of one's own stands in it with its definition, so that whoever has the record knows the task.

    Data and encoder stand in it by the fingerprint of their content, so that a run is the same wherever its files lie,
    and another one where they differ.

    What each setting means, which values it takes and who looks at it stands in `smp_lab.settings.SETTINGS`. These are
    None:

    - remaining where the method measures it (1 where it has no mask);
    - schedule and both of its lengths for dense, l0 and controls; else exactly one of the two lengths is None;
    - teacher, kl_direction, distillation_temperature and distillation_weight without a teacher. A teacher is
      NAME@FINGERPRINT: a run id or a checkpoint's name, and the start of the sha256 of its content;
    - all others where nothing looks at them, but for seed, epochs and regularizer, which are 0 there, and
      share_temperature, which is 1.

    Raises
    ------
    ConfigError
        If a value is unknown or out of range, or two values contradict each other.
    """

    def __post_init__(self) -> None:
        for name, setting in SETTINGS.items():
            object.__setattr__(self, name, setting.coerced(getattr(self, name)))
        self._know_task()
        task, method = self.task_info, self.method_info
        self._check_remaining(method)
        self._check_fingerprints()
        self._check_each(method)
        self._check_head(task, method)
        self._check_schedule()
        self._check_distillation(task)

    def _know_task(self) -> None:
        if self.task_definition is not None and defined_task(self.task_definition).name != self.task:
            raise ConfigError(f"Task {self.task[:80]!r} has the definition of another task.")

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

    def _check_fingerprints(self) -> None:
        for name in ("base_model_sha256", "data_sha256"):
            if not _SHA256.fullmatch(getattr(self, name)):
                raise ConfigError(f"Setting {name} = {getattr(self, name)!r} is not 64 lower-case hex digits.")

    def _check_each(self, method: Method) -> None:
        for name, setting in SETTINGS.items():
            value = getattr(self, name)
            if setting.used_by(method):
                if setting.needed and value is None:
                    raise ConfigError(f"Method {method.name!r} needs a {name}.")
                setting.check_range(value)
            elif value != setting.unused:
                raise ConfigError(
                    f"Method {method.name!r} has no use for {name}. These have: {', '.join(setting.users)}."
                )

    def _check_head(self, task: Task, method: Method) -> None:
        if self.head == "linear" and method.is_control:
            raise ConfigError(f"Method {method.name!r} is not trained, so a new linear head would say nothing.")
        if self.head == "label_words" and self.head_learning_rate is not None:
            raise ConfigError(
                f"Head {self.head!r} is frozen and has no use for head_learning_rate. Train one with head linear."
            )
        if self.head == "linear" and self.head_learning_rate is None:
            raise ConfigError("A linear head is trained and needs a head_learning_rate.")
        if self.head == "label_words":
            words = self.label_words or ()
            want = 1 if self.regression_head == "mse" else (len(task.classes) or 2)
            if len(words) != want:
                raise ConfigError(f"Task {task.name!r} needs {want} label words; got {len(words)}: {list(words)}.")
            if len(set(words)) != len(words):
                raise ConfigError(f"Label words must differ; got {list(words)}.")
        elif self.label_words is not None:
            raise ConfigError("A linear head has no label words.")
        needs_kind = task.kind is NUMBER and self.head == "label_words"
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

    def _check_distillation(self, task: Task) -> None:
        details = (self.kl_direction, self.distillation_temperature, self.distillation_weight)
        names = "kl_direction, distillation_temperature and distillation_weight"
        if self.teacher is None and any(value is not None for value in details):
            raise ConfigError(f"Settings {names} are of a teacher, and none is named. Name one, or leave them out.")
        if self.teacher is not None and None in details:
            raise ConfigError(f"A teacher needs {names}.")
        if self.teacher is not None and not task.kind.gives_probabilities:
            raise ConfigError(
                f"Task {self.task!r} is a regression: a teacher of it gives a number and not class probabilities, and "
                "there is no KL divergence between numbers. Train it without a teacher."
            )

    @property
    def task_info(self) -> Task:
        """Entry of the task table."""
        return get_task(self.task)

    @property
    def method_info(self) -> Method:
        """Entry of the method table."""
        return get_method(self.method)

    @property
    def is_mask_alone(self) -> bool:
        """Whether its mask over the frozen encoder is a whole classifier: nothing else was trained but scores."""
        return self.head == "label_words" and not self.method_info.trains_weights

    @property
    def run_id(self) -> str:
        """``{task}-{method}-r{remaining}-s{seed}-{hash8}``; the words are for eyes, the hash is the identity."""
        remaining = "free" if self.remaining is None else f"{self.remaining:g}"
        return f"{self.task}-{self.method}-r{remaining}-s{self.seed}-{self.sha256[:8]}"

    @cached_property
    def sha256(self) -> str:
        """Of `canonical_json`; pages ask for it thousands of times.

        A setting that was added later is left out at its neutral value, at which a run is what it was before.
        """
        values = {
            name: value
            for name, value in self.to_dict().items()
            if SETTINGS[name].since is None or value != SETTINGS[name].neutral
        }
        return digest_of(values)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, defaults included."""
        # All values are immutable; `dataclasses.asdict` would copy each, at twenty times the cost.
        return {name: getattr(self, name) for name in SETTINGS}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """Inverse of `to_dict`.

        Raises
        ------
        ConfigError
            If a setting is unknown or missing, or a value does not fit.
        """
        if unknown := sorted(set(values) - set(SETTINGS)):
            raise ConfigError(f"Unknown settings: {', '.join(unknown)}. Known: {', '.join(sorted(SETTINGS))}.")
        if missing := sorted(name for name, setting in SETTINGS.items() if not setting.since and name not in values):
            raise ConfigError(f"Settings are missing: {', '.join(missing)}.")
        return cls(**values)

    @classmethod
    def from_checked(cls, values: Mapping[str, Any], sha256: str) -> RunConfig:
        """The same for values, and their digest, that a config has had: nothing is checked or hashed again.

        Raises
        ------
        ConfigError
            If they are of another version's settings.
        """
        if values.keys() != SETTINGS.keys():
            raise ConfigError("These are not the settings of this version.")
        config = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(config, name, tuple(value) if isinstance(value, list) else value)
        config.__dict__["sha256"] = sha256
        config._know_task()
        return config


def canonical_json(value: Any) -> str:
    """JSON with one spelling per value: sorted keys, no blanks, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest_of(value: Any) -> str:
    """The sha256 of its `canonical_json`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
