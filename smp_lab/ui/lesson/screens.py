"""The lesson's screens in their order. A new one is a file beside this and a line here."""

from __future__ import annotations

from smp_lab.ui.lesson import network, one_weight, plane, real, regulariser, shares, slopes
from smp_lab.ui.lesson.frame import Screen

SCREENS = (
    Screen("When does a score rise?", one_weight.WORDS, one_weight.show, one_weight.FORMULAS),
    Screen("Why is the gradient straight-through?", slopes.WORDS, slopes.show, slopes.FORMULAS),
    Screen("Where do weights and scores move?", plane.WORDS, plane.show, plane.FORMULAS),
    Screen("Can a network learn by forgetting?", network.WORDS, network.show, network.FORMULAS),
    Screen("What is the regulariser for?", regulariser.WORDS, regulariser.show, regulariser.FORMULAS),
    Screen("How many weights does each layer keep?", shares.WORDS, shares.show, shares.FORMULAS),
    Screen("Does it hold for a real encoder?", real.WORDS, real.show, real.FORMULAS),
)
