"""The lesson's screens in their order. A new one is a file beside this and a line here."""

from __future__ import annotations

from smp_lab.ui.lesson import network, one_weight, plane, real, regulariser, shares, slopes
from smp_lab.ui.lesson.frame import Screen

SCREENS = (
    Screen("One weight, four cases", one_weight.WORDS, one_weight.show, one_weight.FORMULAS),
    Screen("Why straight-through", slopes.WORDS, slopes.show, slopes.FORMULAS),
    Screen("The plane of weight and score", plane.WORDS, plane.show, plane.FORMULAS),
    Screen("A network that learns by forgetting", network.WORDS, network.show, network.FORMULAS),
    Screen("Why the regulariser", regulariser.WORDS, regulariser.show, regulariser.FORMULAS),
    Screen("The share rule", shares.WORDS, shares.show, shares.FORMULAS),
    Screen("From toy to real", real.WORDS, real.show, real.FORMULAS),
)
