"""A teacher whose classes have no names is scored before it teaches."""

import re

import pytest
from training.test_teachers import checkpoint, taught  # noqa: F401 - fixtures
from transformers import DataCollatorWithPadding

from smp_lab.errors import ConfigError
from smp_lab.training import teachers
from smp_lab.training.encoders import load_encoder
from smp_lab.training.examples import tokenize
from smp_lab.training.run import train
from smp_lab.training.teachers import load_teacher


def test_a_teacher_whose_class_order_is_not_known_is_judged_first(checkpoint, taught, runs):  # noqa: F811
    ready, lines = taught(checkpoint(("LABEL_0", "LABEL_1"))), []
    encoder, data = load_encoder(ready.files), ready.data
    examples = tokenize(data.train, encoder.tokenizer, ready.config.max_length)
    model = load_teacher(ready.teacher, ready.config, encoder)
    said = teachers.teacher_logits(model, examples, DataCollatorWithPadding(encoder.tokenizer)).argmax(-1)
    data.train.targets[:] = 1 - said
    with pytest.raises(ConfigError, match=r"accuracy of 0\.000 on 64 training examples .* name them in id2label"):
        train(ready, runs, command="")
    assert not list(runs.glob("rte-*"))
    data.train.targets[:] = said
    train(ready, runs, command="", write=lines.append)
    assert any(line.startswith("teacher: accuracy 1.000 on 64 training examples") for line in lines)


def test_the_examples_that_judge_a_teacher_follow_no_pattern_of_their_file(checkpoint, taught, runs):  # noqa: F811
    # Of these 2,000 every second one is of the same class.
    ready, lines = taught(checkpoint(("LABEL_0", "LABEL_1")), n_train=2000, epochs=0.01), []
    try:
        train(ready, runs, command="", write=lines.append)
    except ConfigError as error:
        lines.append(str(error))
    (baseline,) = re.findall(r"majority-class baseline (?:is )?(0\.\d+)", " ".join(lines))
    assert float(baseline) < 0.6
