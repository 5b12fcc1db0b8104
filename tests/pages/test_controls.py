from conftest import TINY, make_run, random_masks

from smp_lab.ui import controls

# Its remaining fraction follows from lambda.
SOFT = {
    "method": "soft_movement",
    "remaining": None,
    "head": "linear",
    "label_words": None,
    "weight_learning_rate": 3e-5,
}


def test_a_label_says_what_was_asked_for_or_else_what_was_measured(runs):
    asked = make_run(runs, remaining=0.1)
    softer, softest = (
        make_run(runs, **SOFT, regularizer=regularizer, masks=random_masks(TINY, remaining, 0))
        for regularizer, remaining in ((400.0, 0.25), (1600.0, 0.125))
    )
    labels = controls.run_labels([asked, softer, softest])
    assert list(labels) == [asked.run_id, softer.run_id, softest.run_id]
    assert labels[asked.run_id] == "RTE · SMP-S · 10 %"
    assert labels[softer.run_id] == "RTE · Soft movement pruning · 25 % measured"
    assert labels[softest.run_id] == "RTE · Soft movement pruning · 12.5 % measured"


def test_runs_that_would_have_one_label_differ_in_their_hash(runs):
    first, second = (make_run(runs, regularizer=regularizer) for regularizer in (400.0, 0.0))
    labels = controls.run_labels([first, second])
    assert all(labels[run.run_id].endswith(f" · {run.config.sha256[:8]}") for run in (first, second))
