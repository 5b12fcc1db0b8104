"""How often those who watch a run look at it: less often where many do, so that training keeps the machine."""

from __future__ import annotations

import math

SECONDS = 2.0
_MOST_SECONDS = 32.0
# Of all cores, for all who watch together. Training on all cores waits for the slowest, and loses more than it.
_SHARE = 0.03


class Pace:
    """Of all who watch, on the cores that training and pages share; several threads may tell and ask."""

    def __init__(self, n_cores: int) -> None:
        self._budget = _SHARE * n_cores
        self._looks: dict[str, tuple[float, float]] = {}

    def looked(self, watcher: str, at: float, cost: float) -> None:
        """Somebody looked, at a time in seconds; it took `cost` seconds of a core.

        The cheapest look counts, and none before the second: what is made for the first one is made once.
        """
        known = self._looks.get(watcher)
        self._looks[watcher] = (at, math.inf) if known is None else (at, min(cost, known[1]))

    def seconds(self, at: float, current: float = SECONDS) -> float:
        """From one look to the next, now: `SECONDS`, doubled until all looks fit into their share of the machine.

        The current ones are kept while they are long enough and less than three times as long as needed. Who has not
        looked for twice the longest time is gone.
        """
        self._looks = {name: look for name, look in list(self._looks.items()) if at - look[0] < 2 * _MOST_SECONDS}
        costs = [cost for _, cost in list(self._looks.values()) if cost < math.inf]
        needed = max(sum(costs) / self._budget, SECONDS)
        if current / 3 < needed <= current:
            return current
        return min(SECONDS * 2 ** math.ceil(math.log2(needed / SECONDS)), _MOST_SECONDS)
