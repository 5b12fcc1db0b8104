"""What mask training costs, beside dense fine-tuning and beside a textbook implementation, measured in one run.

    python -m tests.training.benchmark --glue-dir DIR [--device cuda]

Run it on an otherwise idle machine. Methods take turns at each batch, the textbook on its few batches too, so that a
slow moment of the machine falls on all of them; every batch is one of a real epoch, padded to its longest example. A
time is that of a whole step: masks, forward, backward, optimiser. A ratio is the median over batches of the ratio at
each batch; against the textbook it is of the means, since its time does not follow the length of a batch. Memory is the
peak of a process of its own, on an accelerator that of its allocator; there the textbook is left out, and the waits of
the host in a step are counted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from transformers import BertConfig, BertForMaskedLM, DataCollatorWithPadding

from smp_lab.training.encoders import PACKAGED_ENCODER, find_encoder, load_encoder
from smp_lab.training.examples import tokenize
from smp_lab.training.model import build_model
from smp_lab.training.prepare import prepare
from smp_lab.training.trainer import LengthGroupedByEpoch

METHODS = ("dense", "smp_s", "smp_l", "smp_g")
TOTAL_STEPS = 2000
MATRIX_PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
PADDED_LENGTH = 128
WARM_UP = 5


@dataclass(frozen=True)
class Setting:
    """An encoder on the batches of a task, on a device."""

    encoder: str
    task: str
    device: str = "cpu"

    def __str__(self) -> str:
        return f"{Path(self.encoder).name}, {self.task}"


class Steps:
    """Whole training steps of one method, one batch at a time, at the schedule's middle."""

    def __init__(self, setting: Setting, method: str, glue: Path | None, **settings: Any) -> None:
        remaining = None if method == "dense" else 0.1
        prepared = prepare(
            setting.task, method, remaining=remaining, encoder=setting.encoder, data_folders={"glue": glue}, **settings
        )
        torch.manual_seed(0)
        encoder = load_encoder(prepared.files, dropout=prepared.config.dropout)
        self.model = build_model(prepared.config, encoder, TOTAL_STEPS).train().to(setting.device)
        self.device, self.bf16 = setting.device, prepared.config.precision == "bf16"
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=prepared.config.score_learning_rate or 3e-5, weight_decay=0.0, fused=True
        )
        self.step = TOTAL_STEPS // 2

    def __call__(self, batch: dict[str, Tensor]) -> None:
        """One step."""
        self.model.pruned.update(self.step)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            loss = self.model(**batch)["loss"]
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1


class TextbookLinear(nn.Module):
    """Masked linear layer as the method is usually written down: scores sorted in each forward pass."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.scores = nn.Parameter(torch.zeros_like(linear.weight))
        self.remaining = 1.0

    def forward(self, inputs: Tensor) -> Tensor:
        """``x (W * M)^T + b``."""
        self.mask = _SortedTopK.apply(self.scores, self.remaining)
        return nn.functional.linear(inputs, self.weight * self.mask, self.bias)


class _SortedTopK(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores: Tensor, remaining: float) -> Tensor:
        _, order = scores.flatten().sort(descending=True, stable=True)
        mask = torch.zeros_like(scores)
        mask.view(-1)[order[: int(remaining * scores.numel())]] = 1
        return mask

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class TextbookSteps:
    """SMP-L written plainly: float32, padding to 128 tokens, autograd through R, AdamW one parameter at a time."""

    def __init__(self, setting: Setting, glue: Path | None, **settings: Any) -> None:
        prepared = prepare(
            setting.task, "smp_l", remaining=0.1, encoder=setting.encoder, data_folders={"glue": glue}, **settings
        )
        encoder = load_encoder(prepared.files, dropout=prepared.config.dropout)
        model = build_model(prepared.config, encoder, TOTAL_STEPS)
        self.encoder, self.head, self.target = model.encoder.train(), model.head, model.target
        self.layers: list[TextbookLinear] = []
        for module in list(self.encoder.encoder.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.Linear):
                    self.layers.append(TextbookLinear(child))
                    setattr(module, name, self.layers[-1])
        self.schedule = model.pruned.schedule
        scores = [layer.scores for layer in self.layers]
        self.optimizer = torch.optim.AdamW(scores, lr=2e-2, weight_decay=0.0, foreach=False, fused=False)
        self.step = TOTAL_STEPS // 2

    def __call__(self, batch: dict[str, Tensor]) -> None:
        """One step."""
        for layer in self.layers:
            layer.remaining = self.schedule.remaining(self.step)
        missing = PADDED_LENGTH - batch["input_ids"].shape[1]
        inputs = {name: nn.functional.pad(batch[name], (0, missing)) for name in batch.keys() - {"labels"}}
        hidden = self.encoder(**inputs).last_hidden_state
        loss = self.target.loss(self.head(hidden[:, 0]), batch["labels"])
        regularizer = torch.stack([layer.scores.sigmoid().mean() for layer in self.layers]).mean()
        (loss + self.schedule.regularizer_weight(self.step) * regularizer).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1


def make_batches(setting: Setting, glue: Path | None, count: int) -> list[dict[str, Tensor]]:
    """Batches of 32, drawn from one epoch."""
    prepared = prepare(setting.task, "smp_s", remaining=0.1, encoder=setting.encoder, data_folders={"glue": glue})
    tokenizer = load_encoder(prepared.files).tokenizer
    examples = tokenize(prepared.data.train, tokenizer, prepared.config.max_length)
    order = list(LengthGroupedByEpoch(examples.lengths, 32, 0, lambda: 0))
    collate = DataCollatorWithPadding(tokenizer)
    whole = len(order) // 32
    picked = np.random.default_rng(0).permutation(whole)[:count]
    batches = [collate([examples[i] for i in order[32 * k : 32 * (k + 1)]]) for k in picked]
    return [{name: values.to(setting.device) for name, values in batch.items()} for batch in batches]


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call, until an accelerator has done what it was given."""
    start = time.perf_counter()
    action()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def quartiles(values: np.ndarray, scale: float = 1.0, digits: int = 2) -> str:
    """Median and the middle half."""
    low, middle, high = np.quantile(np.asarray(values) * scale, [0.25, 0.5, 0.75])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def compare_methods(setting: Setting, glue: Path, n_batches: int) -> dict[str, np.ndarray]:
    """Seconds of each method at each batch."""
    batches = make_batches(setting, glue, n_batches)
    steps = {method: Steps(setting, method, glue) for method in METHODS}
    for step in steps.values():
        for batch in batches[:WARM_UP]:
            step(batch)
    times = {method: [] for method in METHODS}
    for number, batch in enumerate(batches):
        # Who goes first changes, so that nobody always finds the batch in the cache.
        for method in np.roll(METHODS, number):
            times[method].append(seconds(lambda method=method, batch=batch: steps[method](batch)))
    return {method: np.array(values) for method, values in times.items()}


def compare_textbook(setting: Setting, glue: Path, n_batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of a textbook step, and of smp_l, which it writes out, at each of some batches."""
    steps = (TextbookSteps(setting, glue), Steps(setting, "smp_l", glue))
    warm_up, *batches = make_batches(setting, glue, n_batches + 1)
    times = []
    for batch in (warm_up, *batches):
        times.append([seconds(lambda step=step, batch=batch: step(batch)) for step in steps])
    textbook, engine = np.array(times[1:]).T
    return textbook, engine


def share_of_parts(setting: Setting, glue: Path, n_batches: int) -> tuple[dict[str, float], float]:
    """Seconds of each part of an smp_s step, and how often the host waits in it.

    The parts but the matrix products are timed by themselves.
    """
    step = Steps(setting, "smp_s", glue)
    batches = make_batches(setting, glue, n_batches)
    for batch in batches[:WARM_UP]:
        step(batch)
    whole = np.mean([seconds(lambda batch=batch: step(batch)) for batch in batches])
    on_gpu = setting.device != "cpu"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as profiler:
        profiled = sum(seconds(lambda batch=batch: step(batch)) for batch in batches)
    events = profiler.key_averages()
    products = sum(
        event.self_device_time_total if on_gpu else event.self_cpu_time_total
        for event in events
        if event.key in MATRIX_PRODUCTS
    )
    # One of them is this benchmark's own, at the end of each step.
    waits = sum(event.count for event in events if event.key.endswith("Synchronize")) / len(batches) - on_gpu
    pruned = step.model.pruned

    def update() -> None:
        pruned.step -= 1
        pruned.update(pruned.step + 1)

    gradients = [torch.randn_like(weight, dtype=pruned.dtype) for weight in pruned.weights]

    def mask_and_back() -> None:
        torch.autograd.backward(pruned.effective(), gradients)

    def optimize() -> None:
        step.optimizer.step()

    def median(action: Callable[[], object]) -> float:
        return float(np.median([seconds(action) for _ in range(20)]))

    top_k = median(update)
    masking_and_regularizer = median(mask_and_back)
    with without_regularizer(pruned):
        masking = median(mask_and_back)
    return {
        "whole step": float(whole),
        # As a share of the profiled steps: the profiler takes time itself.
        "matrix products": products / 1e6 / profiled * float(whole),
        "top-k": top_k,
        "masking": masking,
        "regulariser": max(masking_and_regularizer - masking, 0.0),
        "optimiser": median(optimize),
    }, waits


@contextmanager
def without_regularizer(pruned: nn.Module) -> Iterator[None]:
    """No pull on the scores meanwhile."""
    pruned.pull = lambda n_weights: 0.0
    try:
        yield
    finally:
        del pruned.pull


def peak_megabytes(setting: Setting, method: str, glue: Path, n_batches: int) -> float:
    """Peak resident memory of a process that trains a few steps with one method."""
    # As numbers: a tensor would be handed over in shared memory.
    batches = [
        {name: values.cpu().numpy() for name, values in batch.items()}
        for batch in make_batches(setting, glue, n_batches)
    ]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_of_this_process, (setting, method, glue, batches))


def _peak_of_this_process(setting: Setting, method: str, glue: Path, batches: list[dict[str, np.ndarray]]) -> float:
    step = Steps(setting, method, glue)
    for batch in batches:
        step({name: torch.from_numpy(values).to(setting.device) for name, values in batch.items()})
    if setting.device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**20
    # Not from getrusage: its peak begins with the parent's.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def save_random_bert_base(folder: Path) -> None:
    """An encoder of BERT-base's shape with random weights and the packaged tokenizer."""
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig()).save_pretrained(folder)
    load_encoder(find_encoder(PACKAGED_ENCODER)).tokenizer.save_pretrained(folder)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--glue-dir", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=40, help="of each encoder and task")
    parser.add_argument("--textbook-batches", type=int, default=10)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    glue, n_batches = arguments.glue_dir, arguments.batches

    def write(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "bert-base-shaped"
        save_random_bert_base(base)
        device = arguments.device
        settings = [
            Setting(encoder, task, device)
            for encoder, task in ((PACKAGED_ENCODER, "sst2"), (PACKAGED_ENCODER, "mrpc"), (str(base), "mrpc"))
        ]
        name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
        write(f"{name}, torch {torch.__version__}, batches of 32, {n_batches} of a kind\n")
        write("| encoder, task | method | ms a step (middle half) | times dense (middle half) | peak MB | of dense |")
        write("| --- | --- | ---: | ---: | ---: | ---: |")
        for setting in settings:
            count = n_batches if setting.encoder == PACKAGED_ENCODER else max(n_batches // 4, 5)
            times = compare_methods(setting, glue, count)
            peaks = {method: peak_megabytes(setting, method, glue, 8) for method in METHODS}
            for method in METHODS:
                write(
                    f"| {setting} | {method} | {quartiles(times[method], 1e3, 0)} "
                    f"| {quartiles(times[method] / times['dense'])} "
                    f"| {peaks[method]:.0f} | {peaks[method] / peaks['dense']:.2f} |"
                )
            write(f"smp_g / smp_s: {quartiles(times['smp_g'] / times['smp_s'])}")
        if device == "cpu":
            write("\n| encoder, task | textbook, ms a step | smp_l, same batches | mean / mean |")
            write("| --- | ---: | ---: | ---: |")
        for setting in settings[:2] if device == "cpu" else ():
            textbook, engine = compare_textbook(setting, glue, arguments.textbook_batches)
            ratio = textbook.mean() / engine.mean()
            write(f"| {setting} | {quartiles(textbook, 1e3, 0)} | {quartiles(engine, 1e3, 0)} | {ratio:.1f} |")
        write("\n| encoder, task | part of an smp_s step | ms | share |\n| --- | --- | ---: | ---: |")
        for setting in settings:
            parts, waits = share_of_parts(setting, glue, 10)
            for part, value in parts.items():
                write(f"| {setting} | {part} | {1e3 * value:.1f} | {value / parts['whole step']:.1%} |")
            if device != "cpu":
                write(f"| {setting} | waits of the host in a step: {waits:g} | | |")


if __name__ == "__main__":
    main()
