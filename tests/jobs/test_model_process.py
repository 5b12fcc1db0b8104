"""The process that runs models, seen from the app: started when asked, asked again when it has ended."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from smp_lab.errors import JobError, SmpLabError
from smp_lab.jobs.model_process import ModelProcess

ECHO = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["call"] == "half":
        print('{"resu', end="", flush=True)
        sys.exit(1)
    if asked["call"] == "die":
        sys.exit(1)
    if asked["call"] == "refuse":
        print(json.dumps({"error": "No."}), flush=True)
        continue
    print(json.dumps({"result": [asked.get("x"), os.getpid()]}), flush=True)
    if asked["call"] == "last":
        break
"""


@pytest.fixture
def process():
    made = ModelProcess((sys.executable, "-c", ECHO))
    yield made
    made.close()


def test_it_runs_from_the_first_question_to_the_end(process):
    assert process.memory_bytes is None
    x, pid = process.ask("echo", x=1)
    assert x == 1 and process.ask("echo", x=2) == [2, pid]
    assert process.memory_bytes > 0
    process.close()
    assert process.memory_bytes is None


def test_one_that_has_ended_is_started_again(process):
    _, first = process.ask("last")
    pipes = process._process.stdin, process._process.stdout
    process._process.wait()
    x, second = process.ask("echo", x=3)
    assert x == 3 and second != first
    assert [pipe.closed for pipe in pipes] == [True, True]


def test_what_it_refuses_and_its_death_are_sentences(process):
    with pytest.raises(SmpLabError, match="No"):
        process.ask("refuse")
    for call in ("die", "half"):
        with pytest.raises(JobError, match="ended before it answered"):
            process.ask(call)
    assert process.ask("echo", x=4)[0] == 4


def test_several_visitors_get_their_own_answers(process):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda x: process.ask("echo", x=x)[0], range(50)))
    assert answers == list(range(50))
