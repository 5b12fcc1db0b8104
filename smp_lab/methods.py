"""The pruning methods by name: what each trains, and whether the remaining fraction is set or comes out.

Sources: Jiang et al. (2023); Sanh et al. (2020) for movement; Louizos et al. (2018) for l0. The training code of each
is in `smp_lab.training.methods`.
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
        What the optimiser moves. A method that moves neither is a control: its mask is made, not learned.
    by_threshold
        True where a weight is kept for its own score alone, above a tau, and not for its rank.
    """

    name: str
    title: str
    remaining: str
    trains_scores: bool = False
    trains_weights: bool = False
    by_threshold: bool = False

    @property
    def trains_embeddings(self) -> bool:
        """True for ordinary fine-tuning. Where weights are trained and pruned, embeddings stay (Sanh et al. 2020)."""
        return self.trains_weights and self.remaining == NONE

    @property
    def is_control(self) -> bool:
        """True where nothing is trained."""
        return not (self.trains_scores or self.trains_weights)

    @property
    def has_schedule(self) -> bool:
        """True where the mask shrinks by a plan: to a set fraction, or as tau rises."""
        return self.by_threshold or (self.remaining == SET and not self.is_control)


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("smp_l", "SMP-L (local)", SET, trains_scores=True),
        Method("smp_s", "SMP-S (share)", SET, trains_scores=True),
        Method("smp_g", "SMP-G (global)", SET, trains_scores=True),
        Method("smp_t", "SMP-T (threshold)", MEASURED, trains_scores=True, by_threshold=True),
        Method("dense", "Dense fine-tuning", NONE, trains_weights=True),
        Method("magnitude", "Magnitude pruning", SET, trains_weights=True),
        Method("movement", "Movement pruning", SET, trains_scores=True, trains_weights=True),
        Method(
            "soft_movement",
            "Soft movement pruning",
            MEASURED,
            trains_scores=True,
            trains_weights=True,
            by_threshold=True,
        ),
        Method("l0", "L0 regularisation", MEASURED, trains_scores=True, trains_weights=True),
        Method("random", "Random mask (control)", SET),
        Method("magnitude_frozen", "Magnitude mask, frozen (control)", SET),
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
