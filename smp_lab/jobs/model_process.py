"""The one process of an app that runs models: started when something is asked, ended when nothing is.

The app itself never imports torch. See `smp_lab.inference.serve` for the other end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psutil

from smp_lab.errors import JobError, SmpLabError

_COMMAND = (sys.executable, "-m", "smp_lab.inference.serve")
# A text that was typed goes to no hub; data and encoders are found where they were downloaded to.
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


class ModelProcess:
    """A process that is asked one thing at a time; several threads may ask.

    Parameters
    ----------
    command
        That starts it.
    """

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, call: str, **arguments: Any) -> Any:
        """The result of one of the calls of `smp_lab.inference.serve.Models`.

        Raises
        ------
        SmpLabError
            The sentence of the process, or that it was killed.
        """
        question = json.dumps({"call": call, **arguments}) + "\n"
        with self._lock:
            # One that was not used for a while has ended, perhaps just now.
            line = self._exchange(question) or self._exchange(question)
        if not line:
            raise JobError(
                "The process that runs the model ended before it answered. Free memory or ask for fewer masks, then "
                "ask again."
            )
        reply = json.loads(line)
        if "error" in reply:
            raise SmpLabError(reply["error"])
        if "defect" in reply:
            raise RuntimeError(reply["defect"])
        return reply["result"]

    def _exchange(self, question: str) -> str:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # What a library says of a text is not kept.
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, **_ENVIRONMENT},
                start_new_session=True,
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(question)
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            # One that is killed may leave a part of it.
            if line.endswith("\n"):
                return line
        except OSError:
            pass
        self._end()
        return ""

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            with suppress(OSError):
                self._process.communicate()
            self._process = None

    @property
    def memory_bytes(self) -> int | None:
        """What it takes of the machine's memory; None where it does not run."""
        process = self._process
        try:
            return psutil.Process(process.pid).memory_info().rss if process and process.poll() is None else None
        except psutil.Error:
            return None

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._end()
