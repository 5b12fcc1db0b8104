"""The prunable matrices of an encoder: their types, shapes, order and counts. Their names are its family's.

An encoder has ``n_layers`` layers with six prunable matrices each. Everything else (embeddings, biases, LayerNorm,
pooler, head) is never pruned. Source: Jiang et al. (2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from smp_lab.errors import MaskFormatError

QUERY, KEY, VALUE, ATTENTION_OUTPUT, INTERMEDIATE, OUTPUT = MATRIX_TYPES = (
    "query",
    "key",
    "value",
    "attention_output",
    "intermediate",
    "output",
)

# Those that attention heads divide.
HEAD_TYPES = MATRIX_TYPES[:4]


# The largest encoders of the families here (XXL sizes) have 48 layers of width 1,536, 1.4 billion prunable weights. The
# bounds leave room; what is beyond them is no encoder but an attack on memory.
_MOST: Mapping[str, int] = {
    "n_layers": 128,
    "hidden_size": 8192,
    "intermediate_size": 32768,
    "n_heads": 256,
    "n_parameters": 2**36,
}
MAX_WEIGHTS = 2**31


class MatrixId(NamedTuple):
    """One prunable matrix: its layer, counted from 0, and its matrix type."""

    layer: int
    matrix_type: str

    def __str__(self) -> str:
        return f"layer {self.layer} {self.matrix_type}"


@dataclass(frozen=True)
class EncoderLayout:
    """Shapes and counts of one encoder's prunable matrices.

    Parameters
    ----------
    n_layers, hidden_size, intermediate_size, n_heads
        As in the encoder's configuration. ``hidden_size`` is a multiple of ``n_heads``.
    n_parameters
        Parameters of the whole pre-trained model with embeddings, biases, LayerNorm and pooler, without any task head.

    Raises
    ------
    MaskFormatError
        If a field is no whole number above 0, larger than in any encoder known here, or does not fit another one.
    """

    n_layers: int
    hidden_size: int
    intermediate_size: int
    n_heads: int
    n_parameters: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise MaskFormatError(f"Encoder layout has {name} = {value!r}; expected a whole number above 0.")
            if value > _MOST[name]:
                raise MaskFormatError(f"Encoder layout has {name} = {value:,}; at most {_MOST[name]:,} are known here.")
        if self.hidden_size % self.n_heads:
            raise MaskFormatError(
                f"Encoder layout has hidden size {self.hidden_size}, which {self.n_heads} heads do not divide."
            )
        if self.n_weights > MAX_WEIGHTS:
            raise MaskFormatError(
                f"Encoder layout has {self.n_weights:,} prunable weights; at most {MAX_WEIGHTS:,} are known here."
            )
        if self.n_parameters < self.n_weights:
            raise MaskFormatError(
                f"Encoder layout has {self.n_parameters} parameters in all, fewer than its {self.n_weights} prunable."
            )

    @property
    def matrices(self) -> tuple[MatrixId, ...]:
        """All prunable matrices, by layer, then in the order of `MATRIX_TYPES`: the order of every array here."""
        return tuple(MatrixId(layer, kind) for layer in range(self.n_layers) for kind in MATRIX_TYPES)

    @property
    def widths(self) -> tuple[int, int, int]:
        """What the shapes of its matrices say: layers, width, and width of the feed-forward part."""
        return self.n_layers, self.hidden_size, self.intermediate_size

    @property
    def head_size(self) -> int:
        """Rows of a query, key or value matrix that belong to one attention head."""
        return self.hidden_size // self.n_heads

    def shape(self, matrix_type: str) -> tuple[int, int]:
        """``(n_out, n_in)`` of a matrix of this type."""
        if matrix_type == INTERMEDIATE:
            return self.intermediate_size, self.hidden_size
        if matrix_type == OUTPUT:
            return self.hidden_size, self.intermediate_size
        return self.hidden_size, self.hidden_size

    def size(self, matrix_type: str) -> int:
        """Weights in a matrix of this type."""
        n_out, n_in = self.shape(matrix_type)
        return n_out * n_in

    @property
    def n_weights(self) -> int:
        """Prunable weights of the encoder: the denominator of every ratio with scope "encoder"."""
        return self.n_layers * sum(self.size(kind) for kind in MATRIX_TYPES)

    def to_dict(self) -> dict[str, int]:
        """The fields by name, as they stand in a run record."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> EncoderLayout:
        """Inverse of `to_dict`.

        Raises
        ------
        MaskFormatError
            If a field is missing, unknown or not a whole number above 0.
        """
        try:
            return cls(**fields)
        except TypeError as error:
            raise MaskFormatError(f"Encoder layout has fields {sorted(fields)}: {error}.") from None
