"""The process that starts the next run when one has ended: one for each folder of runs, there while there is work.

It outlives whoever started it. Should it be killed, the runs train on, and the next one takes them over.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from smp_lab.errors import JobError
from smp_lab.jobs.queue import Queue
from smp_lab.jobs.runners import start_process
from smp_lab.processes import this_process

SECONDS_BETWEEN_LOOKS = 0.5


def ensure_supervisor(queue: Queue) -> None:
    """Start a supervisor unless one is there."""
    if queue.supervisor_is_alive():
        return
    queue.folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "smp_lab.jobs.supervisor", str(queue.runs)]
    process = start_process(command, Path.cwd(), {}, queue.folder / "supervisor.log")
    # Reaps it: a server that lives for weeks would keep its zombies.
    threading.Thread(target=process.wait, daemon=True).start()


def supervise(queue: Queue) -> None:
    """Start what waits and note what ends, until there is nothing left to do; at once where another one does it."""
    if not queue.become_supervisor(this_process()):
        return
    while not queue.retire():
        queue.settle()
        while queue.start_next():
            pass
        queue.keep_limits()
        time.sleep(SECONDS_BETWEEN_LOOKS)


def main() -> None:
    """``python -m smp_lab.jobs.supervisor RUNS``."""
    queue = Queue(Path(sys.argv[1]))
    while True:
        try:
            return supervise(queue)
        except JobError as error:
            # A disk that is full now may have space later, and runs may still train.
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
            time.sleep(10)


if __name__ == "__main__":
    main()
