"""What is asked of a process that measures, and what becomes of its words."""

import sys

import pytest

from smp_lab.errors import JobError
from smp_lab.jobs import speed
from smp_lab.jobs.speed import Speed, measure


def program(text):
    return [sys.executable, "-c", text]


def test_the_settings_and_the_threads_reach_the_process():
    echo = "import json, os, sys; given = json.loads(sys.argv[1]); threads = int(os.environ['OMP_NUM_THREADS'])\n"
    echo += "print(json.dumps({'steps': given['epochs'] * 10, 'seconds': threads}))"
    assert measure({"epochs": 7, "label_words": ("no", "yes")}, threads=3, command=program(echo)) == Speed(70, 3)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("raise SystemExit('Data of task rte is missing. Name its folder.')", "not measured: Data of task rte is miss"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("print('no json')", "The run was not measured"),
        ("print('[1]')", "The run was not measured"),
        (
            "import os, sys; sys.stderr.write('A warning.'); sys.stderr.flush(); os.kill(os.getpid(), 9)",
            r"killed \(SIGKILL",
        ),
        ("print(file=__import__('sys').stderr); exit(3)", "ended with exit status 3"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(text, sentence):
    with pytest.raises(JobError, match=sentence):
        measure({}, 1, program(text))


def test_it_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(speed, "SECONDS_AT_MOST", 0.5)
    with pytest.raises(JobError, match=r"took over 0.5 s"):
        measure({}, 1, program("import time; time.sleep(60)"))
