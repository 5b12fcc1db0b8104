"""What holds on an accelerator: the masks of a CPU, the same twice and after a resume, and its name in the record.

Skipped where there is none; ``pytest -m gpu`` asks for these alone.
"""

import numpy as np
import pytest
import torch
from training.conftest import same_masks, stop_at

from smp_lab.masks import top_k
from smp_lab.training.run import train
from smp_lab.training.topk import select_top_k

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA accelerator"),
]


@pytest.mark.parametrize("values", [1, 3, 1000, 10**9])
def test_top_k_is_that_of_a_slow_loop_with_ties_by_position(values):
    rng = np.random.default_rng(values)
    scores = rng.integers(0, values, (300, 500)).astype(np.float32)
    mask = torch.empty(scores.shape, dtype=torch.bool, device="cuda")
    for k in (0, 1, 777, scores.size - 1, scores.size):
        select_top_k(torch.from_numpy(scores).cuda(), k, mask)
        np.testing.assert_array_equal(mask.cpu().numpy(), top_k(scores, k))


def test_top_k_makes_the_host_wait_for_nothing():
    scores = torch.rand(10**6, device="cuda")
    mask, k = torch.empty(scores.shape, dtype=torch.bool, device="cuda"), torch.tensor(1000, device="cuda")
    select_top_k(scores, k, mask)
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        select_top_k(scores, k, mask)
    finally:
        torch.cuda.set_sync_debug_mode(before)
    assert mask.sum().item() == 1000


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_two_runs_and_one_that_resumes_make_one_mask(prepared, runs, tmp_path, precision):
    first = train(prepared(precision=precision), tmp_path / "first", command="")
    assert same_masks(first, train(prepared(precision=precision), tmp_path / "second", command=""))
    stop_at(20, prepared(precision=precision), runs)
    resumed = train(prepared(precision=precision), runs, command="")
    assert same_masks(first, resumed) and resumed.provenance["resumed"] == 1
    assert resumed.provenance["processor"] == torch.cuda.get_device_name()


def test_masks_in_bf16_keep_as_many_weights_and_mostly_those_of_fp32(prepared, runs):
    reference = train(prepared(precision="fp32"), runs, command="")
    rounded = train(prepared(precision="bf16"), runs, command="")
    assert rounded.masks.kept_total == reference.masks.kept_total
    differ = sum(
        int(np.bitwise_count(reference.masks.bits[matrix] ^ rounded.masks.bits[matrix]).sum())
        for matrix in reference.masks
    )
    # 6 in 100 on a CPU: see test_threads. A mask that had nothing in common would differ in 48 at this share.
    assert differ < 0.2 * reference.layout.n_weights
