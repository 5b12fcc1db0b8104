"""The lesson's screens in their order."""

from __future__ import annotations

from smp_lab.ui.lesson import one_weight
from smp_lab.ui.lesson.frame import Screen

SCREENS = (Screen("One weight, four cases", one_weight.WORDS, one_weight.show, one_weight.FORMULAS),)
