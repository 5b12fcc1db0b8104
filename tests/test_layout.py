import pytest

from smp_lab.errors import MaskFormatError
from smp_lab.layout import MATRIX_TYPES, EncoderLayout, MatrixId

BERT_BASE = EncoderLayout(12, 768, 3072, 12, 109_482_240)
FIELDS = {"n_layers": 2, "hidden_size": 16, "intermediate_size": 32, "n_heads": 2, "n_parameters": 6000}


def test_bert_base_has_the_papers_85_million_prunable_weights():
    # 10,616,832 bytes of packed bits in the authors' release.
    assert BERT_BASE.n_weights == 10_616_832 * 8
    assert len(BERT_BASE.matrices) == 72


def test_shapes_are_output_by_input():
    shapes = [BERT_BASE.shape(kind) for kind in MATRIX_TYPES]
    assert shapes == [(768, 768)] * 4 + [(3072, 768), (768, 3072)]
    assert BERT_BASE.head_size == 64


def test_matrices_come_by_layer_then_type():
    assert BERT_BASE.matrices[:7] == (*(MatrixId(0, kind) for kind in MATRIX_TYPES), MatrixId(1, "query"))
    assert BERT_BASE.matrices[-1] == MatrixId(11, "output")


def test_fields_round_trip():
    assert EncoderLayout.from_dict(BERT_BASE.to_dict()) == BERT_BASE


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True])
def test_a_field_that_is_no_count_is_refused(name, value):
    with pytest.raises(MaskFormatError, match=rf"{name} = .*expected a whole number above 0"):
        EncoderLayout.from_dict(FIELDS | {name: value})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (FIELDS | {"n_heads": 3}, "hidden size 16, which 3 heads do not divide"),
        (FIELDS | {"n_parameters": 4095}, "4095 parameters in all, fewer than its 4096 prunable"),
        (FIELDS | {"depth": 1}, "depth"),
        ({"n_layers": 2}, "hidden_size"),
        (FIELDS | {"n_layers": 129}, "n_layers = 129; at most 128"),
        (FIELDS | {"n_layers": 10**25}, "n_layers = 10,000,000"),
        (FIELDS | {"hidden_size": 16384}, "hidden_size = 16,384; at most 8,192"),
        (
            {"n_layers": 64, "hidden_size": 4096, "intermediate_size": 16384, "n_heads": 64, "n_parameters": 2**35},
            "12,884,901,888 prunable weights; at most 2,147,483,648",
        ),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, sentence):
    with pytest.raises(MaskFormatError, match=sentence):
        EncoderLayout.from_dict(fields)


def test_the_largest_encoders_of_the_families_are_within_the_bounds():
    # DeBERTa-v2-xxlarge; XLM-R-large has a quarter of its weights.
    xxl = EncoderLayout(n_layers=48, hidden_size=1536, intermediate_size=6144, n_heads=24, n_parameters=1_500_000_000)
    assert xxl.n_weights == 48 * 12 * 1536**2
