"""How long a run would take on this machine: its own steps for three seconds, in a process that then ends.

    python -m smp_lab.training.speed SETTINGS

SETTINGS are arguments of `prepare` as JSON. It prints JSON: steps (count) and seconds (of all steps and evaluations).
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from smp_lab.errors import ConfigError, sentence_of
from smp_lab.schedule import count_steps
from smp_lab.tasks.own import read_task_file
from smp_lab.training.encoders import load_encoder
from smp_lab.training.examples import TokenizedExamples
from smp_lab.training.kinds import trained_kind
from smp_lab.training.model import build_model
from smp_lab.training.prepare import Prepared, prepare
from smp_lab.training.trainer import N_EVALUATIONS, LengthGroupedByEpoch

SECONDS = 3.0
# The first steps of a process find nothing prepared.
_WARM_UP = 2
# Batches of a sample of the examples: as many as the sampler sorts by length at a time.
_BATCHES = 50


def estimate(prepared: Prepared, seconds: float = SECONDS) -> dict[str, float]:
    """Steps of a run (count), and the seconds that they and its evaluations take here, without loading.

    Steps are made for `seconds`. A teacher is taken to answer as fast as the run's own model. Raises `ConfigError` if
    nothing is trained.
    """
    config, examples = prepared.config, prepared.data.train
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not config.epochs:
        raise ConfigError(f"Method {config.method!r} trains nothing: a run is one evaluation.")
    torch.manual_seed(config.seed)
    encoder = load_encoder(prepared.files, dropout=config.dropout)
    chosen = torch.randperm(len(examples))[: _BATCHES * config.batch_size].tolist()
    texts = tuple([column[i] for i in chosen] for column in examples.texts)
    some = type(examples)(texts, examples.targets[chosen])
    sample = trained_kind(config.task_info).tokenize(some, encoder.tokenizer, config.max_length)
    # A long text is read in several windows.
    windows = len(sample) / len(chosen)
    steps = count_steps(config, round(windows * len(examples)))
    model = build_model(config, encoder, steps).to(device)
    rate = config.score_learning_rate or config.weight_learning_rate or 0.0
    optimizer = torch.optim.AdamW([part for part in model.parameters() if part.requires_grad], lr=rate, fused=True)
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=config.precision == "bf16")
    trained = evaluated = 0.0
    for number, batch in enumerate(_batches(sample, encoder.collator, config.batch_size, config.seed)):
        inputs = {name: tensor.to(device) for name, tensor in batch.items()}
        start = _now(device)
        model.pruned.update(steps // 2 + number)
        with autocast():
            loss = model.train()(**inputs)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        middle = _now(device)
        with torch.no_grad(), autocast():
            model.eval()(**inputs)
        if number >= _WARM_UP:
            trained, evaluated = trained + middle - start, evaluated + _now(device) - middle
        if trained + evaluated > seconds:
            break
    made = number + 1 - _WARM_UP
    n_evaluated = min(N_EVALUATIONS, steps) * windows * sum(map(len, prepared.data.development.values()))
    if prepared.teacher is not None:
        # It answers every training example once.
        n_evaluated += windows * len(examples)
    return {"steps": steps, "seconds": (steps * trained + n_evaluated / config.batch_size * evaluated) / made}


def _batches(examples: TokenizedExamples, collator: Any, batch_size: int, seed: int) -> Any:
    """Batches of one epoch in its order, over and over."""
    order = list(LengthGroupedByEpoch(examples.lengths, batch_size, seed, lambda: 0))
    for start in itertools.cycle(range(0, len(order), batch_size)):
        yield collator([examples[i] for i in order[start : start + batch_size]])


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Print the estimate, or a sentence and exit status 1."""
    settings = json.loads(sys.argv[1])
    settings["data_folders"] = {name: Path(folder) for name, folder in settings.get("data_folders", {}).items()}
    if file := settings.pop("task_file", None):
        settings["task_file"] = read_task_file(Path(file))
    try:
        sys.stdout.write(json.dumps(estimate(prepare(**settings))))
    except Exception as error:
        if (sentence := sentence_of(error)) is None:
            raise
        raise SystemExit(sentence) from None


if __name__ == "__main__":
    main()
