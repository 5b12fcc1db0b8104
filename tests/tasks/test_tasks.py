import pytest

from smp_lab.errors import ConfigError
from smp_lab.tasks import BUILT_IN, POLES, START_END, TASKS, get_task
from smp_lab.tasks.kinds import CLASSES, NUMBER, SPAN

# The table, written out a second time.
GLUE = {
    "sst2": ("sentence", {"negative": "terrible", "positive": "great"}, "accuracy"),
    "cola": ("sentence", {"unacceptable": "incorrect", "acceptable": "correct"}, "matthews_correlation, accuracy"),
    "mrpc": ("sentence1, sentence2", {"not_equivalent": "no", "equivalent": "yes"}, "accuracy, f1"),
    "qqp": ("question1, question2", {"not_duplicate": "no", "duplicate": "yes"}, "accuracy, f1"),
    "stsb": ("sentence1, sentence2", {}, "pearson, spearman"),
    "mnli": (
        "premise, hypothesis",
        {"entailment": "yes", "neutral": "maybe", "contradiction": "no"},
        "accuracy_matched, accuracy_mismatched",
    ),
    "qnli": ("question, sentence", {"entailment": "yes", "not_entailment": "no"}, "accuracy"),
    "rte": ("sentence1, sentence2", {"entailment": "yes", "not_entailment": "no"}, "accuracy"),
    "wnli": ("sentence1, sentence2", {"not_entailment": "no", "entailment": "yes"}, "accuracy"),
    "squad": ("question, context", {}, "f1, exact_match"),
}


@pytest.mark.parametrize("name", GLUE)
def test_table_is_the_specification(name: str) -> None:
    fields, words, metrics = GLUE[name]
    task = TASKS[name]
    assert ", ".join(task.text_fields) == fields
    assert ", ".join(task.metrics) == metrics
    assert task.main_metric == metrics.split(", ")[0]
    assert task.classes == tuple(words)
    # Of a span the first word scores its start: "Yes", as the authors' code has it.
    assert task.label_words == (tuple(words.values()) or {NUMBER: POLES, SPAN: START_END}[task.kind])
    assert not task.synthetic


def test_the_other_tasks_are_named_synthetic() -> None:
    toys = {name: TASKS[name] for name in BUILT_IN if name not in GLUE}
    assert set(toys) == {"toy-sentiment", "toy-acceptability", "toy-entailment", "toy-span"}
    assert all(task.synthetic and "synthetic" in task.title for task in toys.values())


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_entries_are_consistent(task) -> None:
    assert TASKS[task.name] is get_task(task.name) is task
    assert 1 <= len(task.text_fields) <= 2
    assert len(set(task.label_words)) == len(task.label_words) == len(task.classes or POLES)
    assert (task.kind is CLASSES) == bool(task.classes)
    assert (task.kind is NUMBER) == (task.target_range is not None)
    # A split's suffix makes the name of its metric; only mnli has more than one split.
    assert all(any(metric.endswith(suffix) for metric in task.metrics) for suffix, _ in task.splits)
    assert len(task.splits) == (2 if task.name == "mnli" else 1)


def test_regression_lies_between_its_poles() -> None:
    assert TASKS["stsb"].target_range == (0, 5)


def test_unknown_task_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"Unknown task 'sst-2'\. Choose one of: sst2, cola, .*toy-span\."):
        get_task("sst-2")
