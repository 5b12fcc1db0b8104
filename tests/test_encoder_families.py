"""Names of matrices, written out a second time."""

import pytest

from smp_lab.encoder_families import BERT, FAMILIES, REFUSED, family_of
from smp_lab.errors import EncoderError
from smp_lab.layout import MATRIX_TYPES, MatrixId


@pytest.mark.parametrize(
    ("family", "name", "matrix"),
    [
        ("bert", "encoder.layer.0.attention.self.query.weight", MatrixId(0, "query")),
        ("bert", "bert.encoder.layer.11.attention.self.key.weight", MatrixId(11, "key")),
        ("roberta", "roberta.encoder.layer.3.attention.self.value.weight", MatrixId(3, "value")),
        ("bert", "bert.encoder.layer.1.attention.output.dense.weight", MatrixId(1, "attention_output")),
        ("bert", "bert.encoder.layer.10.intermediate.dense.mask_scores", MatrixId(10, "intermediate")),
        ("bert", "bert.encoder.layer.2.output.dense.weight", MatrixId(2, "output")),
        ("distilbert", "distilbert.transformer.layer.5.attention.out_lin.weight", MatrixId(5, "attention_output")),
        ("distilbert", "transformer.layer.0.ffn.lin1.weight", MatrixId(0, "intermediate")),
        ("mpnet", "mpnet.encoder.layer.4.attention.attn.o.weight", MatrixId(4, "attention_output")),
        ("deberta-v2", "deberta.encoder.layer.0.attention.self.value_proj.weight", MatrixId(0, "value")),
    ],
)
def test_names_are_parsed(family, name, matrix):
    assert FAMILIES[family].locate(name) == (matrix, name.rpartition(".")[2])


@pytest.mark.parametrize(
    "name",
    [
        "bert.encoder.layer.0.attention.output.LayerNorm.weight",
        "bert.embeddings.word_embeddings.weight",
        "bert.pooler.dense.weight",
        "cls.predictions.transform.dense.weight",
        "bert.encoder.layer.00.output.dense.weight",
        "bert.encoder.layer.0.outputXdense.weight",
        "distilbert.transformer.layer.0.ffn.lin1.weight",
    ],
)
def test_names_of_all_else_are_not(name):
    assert BERT.locate(name) is None


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("suffix", ["weight", "mask_scores"])
def test_names_round_trip(family, suffix):
    for matrix in (MatrixId(layer, kind) for layer in (0, 11) for kind in MATRIX_TYPES):
        for prefix in ("", f"{family.prefix}."):
            assert family.locate(family.parameter_name(matrix, prefix, suffix)) == (matrix, suffix)


def test_positions_begin_behind_the_padding_where_the_family_has_it_so():
    assert FAMILIES["bert"].n_tokens(512, 0) == 512
    assert FAMILIES["roberta"].n_tokens(514, 1) == 512
    # Whatever its padding's number is.
    assert FAMILIES["mpnet"].n_tokens(514, 0) == 512


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_family_is_known_by_its_type_or_by_its_model_class(family):
    assert family_of({"model_type": family.model_type}) is family
    assert family_of({"architectures": [f"{family.architecture}ForMaskedLM"]}) is family
    assert family_of({"architectures": [f"{family.architecture}Model"]}) is family


@pytest.mark.parametrize("model_type", REFUSED)
def test_a_refusal_has_a_reason(model_type):
    with pytest.raises(EncoderError, match=f"is of type '{model_type}': it (shares|has) .*Use one of: bert, "):
        family_of({"model_type": model_type})


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "gpt2"},
        {"model_type": ["bert"]},
        {"model_type": None},
        {"architectures": ["Bertram"]},
        {"architectures": [5]},
        {"architectures": 5},
        {},
    ],
)
def test_unknown_types_are_refused_with_those_that_are_known(config):
    with pytest.raises(EncoderError, match="its matrices are not known here. Use one of: bert, roberta, "):
        family_of(config)
