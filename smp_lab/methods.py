"""The pruning methods by name: what each trains, and of what its mask is made.

Sources: Jiang et al. (2023); Zhu and Gupta (2017) for magnitude; Sanh et al. (2020) for movement; Louizos et al. (2018)
for l0. A method is a line here; a new importance is a file in `smp_lab.training.methods`, a new masking function one in
`smp_lab.training.masking`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smp_lab.errors import ConfigError

SET, MEASURED, NONE = "set", "measured", "none"

# What a weight is ranked by: trained scores, abs(W) as it is now, a draw from the seed; or a trained gate decides.
SCORES, MAGNITUDE, RANDOM, GATES = "scores", "magnitude", "random", "gates"
# Which weights are kept: the top v of each matrix, of each matrix type with layers in competition, or of the encoder;
# or every weight above a threshold.
LOCAL, SHARE, GLOBAL, THRESHOLD = "local", "share", "global", "threshold"


@dataclass(frozen=True)
class Method:
    """One pruning method.

    Parameters
    ----------
    name, title
        As in configs, and as people write it.
    remaining
        "set": a run names its remaining fraction. "measured": the fraction comes out of training. "none": no mask.
    importance
        What a weight is ranked by: "scores", "magnitude", "random" or "gates"; None without a mask.
    masking
        Which weights are kept by it: "local", "share", "global" or "threshold"; None where there is no mask, or gates
        decide.
    trains_weights
        Whether the optimiser moves the encoder's weights.
    """

    name: str
    title: str
    remaining: str
    importance: str | None
    masking: str | None = None
    trains_weights: bool = False

    @property
    def short_title(self) -> str:
        """Its title without the explanation in brackets."""
        return self.title.split(" (")[0]

    @property
    def trains_scores(self) -> bool:
        """Whether the optimiser moves a score per weight."""
        return self.importance in (SCORES, GATES)

    @property
    def of_each_type(self) -> bool:
        """True where the remaining fraction is that of each matrix type too, and not of the encoder alone."""
        return self.masking in (LOCAL, SHARE)

    @property
    def by_threshold(self) -> bool:
        """True where a weight is kept for its own score alone, above a tau, and not for its rank."""
        return self.masking == THRESHOLD

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
        Method("smp_l", "SMP-L (local)", SET, SCORES, LOCAL),
        Method("smp_s", "SMP-S (share)", SET, SCORES, SHARE),
        Method("smp_g", "SMP-G (global)", SET, SCORES, GLOBAL),
        Method("smp_t", "SMP-T (threshold)", MEASURED, SCORES, THRESHOLD),
        Method("dense", "Dense fine-tuning", NONE, None, trains_weights=True),
        Method("magnitude", "Magnitude pruning", SET, MAGNITUDE, LOCAL, trains_weights=True),
        Method("movement", "Movement pruning", SET, SCORES, LOCAL, trains_weights=True),
        Method("soft_movement", "Soft movement pruning", MEASURED, SCORES, THRESHOLD, trains_weights=True),
        Method("l0", "L0 regularisation", MEASURED, GATES, trains_weights=True),
        Method("random", "Random mask (control)", SET, RANDOM, LOCAL),
        Method("magnitude_frozen", "Magnitude mask, frozen (control)", SET, MAGNITUDE, LOCAL),
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
