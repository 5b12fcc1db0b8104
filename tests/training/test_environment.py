"""A process that is not what its driver asked for trains nothing, and says what differs."""

import json

import pytest

from smp_lab.errors import TrainingError
from smp_lab.training.environment import EXPECTED_VARIABLE, code_sha256, facts, pinned, require_expected


def test_what_is_asked_for_is_what_is_there(prepared, monkeypatch):
    config = prepared().config
    require_expected(config)
    variables = pinned(facts(config))
    assert variables["OMP_NUM_THREADS"] == str(facts(config)["threads"])
    monkeypatch.setenv(EXPECTED_VARIABLE, variables[EXPECTED_VARIABLE])
    require_expected(config)


@pytest.mark.parametrize("name", ["run", "code", "torch", "transformers", "threads", "device", "precision"])
def test_each_fact_counts(prepared, monkeypatch, name):
    config = prepared().config
    monkeypatch.setenv(EXPECTED_VARIABLE, json.dumps(facts(config) | {name: "another"}))
    with pytest.raises(TrainingError, match=rf"is not as the one that asked.*: {name} .* here, another there"):
        require_expected(config)


def test_the_kind_of_instructions_is_the_drivers(prepared):
    known = facts(prepared().config)
    assert pinned(known | {"device": "CPU AVX2"})["ATEN_CPU_CAPABILITY"] == "avx2"
    assert "ATEN_CPU_CAPABILITY" not in pinned(known | {"device": "NVIDIA H100"})


def test_the_digest_is_that_of_the_files_as_they_are():
    assert code_sha256() == code_sha256() and len(code_sha256()) == 64
