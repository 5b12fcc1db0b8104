"""A lesson on first-order pruning: seven ideas, each with something to move and a guess before the answer."""

from __future__ import annotations

from smp_lab.ui import messages
from smp_lab.ui.lesson.frame import run_lesson
from smp_lab.ui.lesson.screens import SCREENS

messages.warn_here(messages.slot())
run_lesson(SCREENS)
