"""The pruning methods by name: what each trains, and whether the remaining fraction is set or comes out.

Source: METHOD.md sections 1 and 3. The training code of each is in `smp_lab.training`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smp_lab.errors import ConfigError

SET, MEASURED, NONE = "set", "measured", "none"


@dataclass(frozen=True)
class Method:
    """One pruning method.

    Parameters
    ----------
    name, title
        As in configs, and as people write it.
    remaining
        "set": a run names its remaining fraction. "measured": the fraction comes out of training. "none": no mask.
    trains_scores, trains_weights
        What the optimiser moves.
    """

    name: str
    title: str
    remaining: str
    trains_scores: bool
    trains_weights: bool


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("smp_l", "SMP-L (local)", SET, trains_scores=True, trains_weights=False),
        Method("smp_s", "SMP-S (share)", SET, trains_scores=True, trains_weights=False),
    )
}


def get_method(name: str) -> Method:
    """The method of this name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    try:
        return METHODS[name]
    except KeyError:
        raise ConfigError(f"Unknown method {name!r}. Choose one of: {', '.join(METHODS)}.") from None
