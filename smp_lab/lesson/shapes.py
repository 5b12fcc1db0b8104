"""Points in the plane, of two classes: what the small network learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from smp_lab.errors import ConfigError
from smp_lab.lesson.network import Floats

# Standard deviation of the noise that is added to both coordinates.
NOISE = 0.1


def _moons(t: Floats, second: npt.NDArray[np.bool_], _: np.random.Generator) -> Floats:
    x, y = np.cos(np.pi * t) - 0.5, np.sin(np.pi * t) - 0.25
    sign = np.where(second, -1, 1)
    return np.column_stack([sign * x, sign * y])


def _circles(t: Floats, second: npt.NDArray[np.bool_], _: np.random.Generator) -> Floats:
    return np.where(second, 0.5, 1.2)[:, None] * _direction(2 * np.pi * t)


def _spiral(t: Floats, second: npt.NDArray[np.bool_], _: np.random.Generator) -> Floats:
    radius = np.sqrt(t)
    return 1.4 * radius[:, None] * _direction(3 * np.pi * radius + np.pi * second)


def _xor(t: Floats, second: npt.NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    x, y = 1.2 * t, rng.uniform(0, 1.2, len(t))
    side = rng.choice([-1, 1], len(t))
    return np.column_stack([side * x, np.where(second, side, -side) * y])


def _direction(angle: Floats) -> Floats:
    return np.column_stack([np.cos(angle), np.sin(angle)])


_SHAPES: Mapping[str, Callable[[Floats, npt.NDArray[np.bool_], np.random.Generator], Floats]] = {
    "moons": _moons,
    "circles": _circles,
    "spiral": _spiral,
    "xor": _xor,
}
SHAPES = tuple(_SHAPES)


def draw_points(shape: str, n: int, rng: np.random.Generator) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Points of a shape, float32 ``(n, 2)``, and their classes, int8 ``(n,)``: every second one is of class 1.

    What is computed from both is float32. Raises `ConfigError` if there is no such shape.
    """
    if shape not in _SHAPES:
        raise ConfigError(f"Unknown shape {shape!r}. Choose one of: {', '.join(SHAPES)}.")
    labels = (np.arange(n) % 2).astype(np.int8)
    points = _SHAPES[shape](rng.random(n), labels == 1, rng)
    return (points + NOISE * rng.standard_normal((n, 2))).astype(np.float32), labels
