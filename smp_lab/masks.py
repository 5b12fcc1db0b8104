"""Binary masks over an encoder's prunable weights: exact top-k, one bit a weight, compression, counts.

A mask is True (bit 1) where the weight is KEPT. Needs numpy only.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smp_lab.errors import MaskFormatError
from smp_lab.layout import ATTENTION_OUTPUT, HEAD_TYPES, MATRIX_TYPES, EncoderLayout, MatrixId

BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]
CountArray = npt.NDArray[np.int64]


def kept_count(fraction: float, n_weights: int) -> int:
    """How many of `n_weights` a keep fraction keeps: floor(fraction * n_weights), never below 0 or above all."""
    return min(max(int(np.floor(fraction * n_weights)), 0), n_weights)


def top_k(scores: npt.NDArray[np.floating], k: int) -> BoolArray:
    """Mask of the `k` largest scores; among equal ones the earlier position is kept.

    Parameters
    ----------
    scores
        Any shape; positions count in C order. Must not hold NaN.
    k
        How many to keep, 0 to ``scores.size``.

    Returns
    -------
    ndarray of bool
        Shape of `scores`, with exactly `k` True.
    """
    flat = scores.reshape(-1)
    if not 0 <= k <= flat.size:
        raise ValueError(f"k = {k} is not between 0 and the {flat.size} scores.")
    if np.isnan(flat).any():
        raise ValueError("Scores hold NaN, which has no rank.")
    if k == 0:
        return np.zeros(scores.shape, bool)
    cut = np.partition(flat, flat.size - k)[flat.size - k]
    return mask_at_cut(flat, cut, k).reshape(scores.shape)


def mask_at_cut(scores: npt.NDArray[np.floating], cut: np.floating, k: int, out: BoolArray | None = None) -> BoolArray:
    """Mask of the `k` largest of ``(n,)`` scores, of which `cut` is the least; written to `out` where that is given."""
    mask = np.greater_equal(scores, cut, out=out)
    if surplus := np.count_nonzero(mask) - k:
        mask[np.flatnonzero(scores == cut)[-surplus:]] = False
    return mask


def popcount(bits: ByteArray) -> int:
    """Number of 1 bits."""
    return int(np.bitwise_count(bits).sum(dtype=np.int64))


def compress_bits(bits: ByteArray) -> ByteArray:
    """Packed bits as a zlib stream, the shorter of two: symbols only, or symbols and repeats.

    Masks at random are coded best by symbol alone (numpy's own compressed files take 1.39 times the entropy bound at
    3 % kept, this 1.17), masks with empty rows by repeats. `zlib.decompress` reads both.
    """
    streams = []
    for strategy in (zlib.Z_HUFFMAN_ONLY, zlib.Z_FILTERED):
        compressor = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, strategy)
        streams.append(compressor.compress(bits.tobytes()) + compressor.flush())
    return np.frombuffer(min(streams, key=len), np.uint8)


def decompress_bits(stream: ByteArray, n_weights: int) -> ByteArray:
    """Inverse of `compress_bits`.

    Raises
    ------
    MaskFormatError
        If the stream is cut off or altered, or does not hold the bits of exactly `n_weights` weights.
    """
    n_bytes = (n_weights + 7) // 8
    decompressor = zlib.decompressobj()
    try:
        raw = decompressor.decompress(stream.tobytes(), n_bytes + 1)
    except zlib.error as error:
        raise MaskFormatError(f"Mask stream cannot be decompressed ({error}).") from None
    if len(raw) != n_bytes or not decompressor.eof or decompressor.unused_data:
        raise MaskFormatError(f"Mask holds {len(raw)} bytes or more; expected {n_bytes} for {n_weights} weights.")
    bits = np.frombuffer(raw, np.uint8)
    _check_padding(bits, n_weights)
    return bits


def _check_padding(bits: ByteArray, n_weights: int) -> None:
    padding = -n_weights % 8
    if padding and bits[-1] & ((1 << padding) - 1):
        raise MaskFormatError(f"Mask has bits set behind its {n_weights} weights.")


@dataclass(frozen=True)
class MaskSet:
    """The masks of all prunable matrices of one encoder, packed to one bit a weight.

    Parameters
    ----------
    layout
        Shapes and order of the matrices.
    bits
        Matrix -> packed bits as `numpy.packbits` lays them out (C order, first weight in the highest bit), read-only,
        ``ceil(n_out * n_in / 8)`` bytes.

    Raises
    ------
    MaskFormatError
        If a matrix is missing or superfluous, or its bits have another length than its shape asks for.
    """

    layout: EncoderLayout
    bits: Mapping[MatrixId, ByteArray]

    def __post_init__(self) -> None:
        want = set(self.layout.matrices)
        if odd := want.symmetric_difference(self.bits):
            example = min(odd)
            state = "is missing" if example in want else "is not part of the encoder"
            raise MaskFormatError(f"Mask of {example} {state}; the layout has {len(want)} matrices.")
        for matrix, bits in self.bits.items():
            n_weights = self.layout.size(matrix.matrix_type)
            n_bytes = (n_weights + 7) // 8
            if bits.dtype != np.uint8 or bits.shape != (n_bytes,):
                raise MaskFormatError(
                    f"Mask of {matrix} has {bits.shape} values of type {bits.dtype}; expected ({n_bytes},) of uint8 "
                    f"for shape {self.layout.shape(matrix.matrix_type)}."
                )
            _check_padding(bits, n_weights)
            bits.flags.writeable = False

    @classmethod
    def from_dense(cls, layout: EncoderLayout, masks: Mapping[MatrixId, BoolArray]) -> MaskSet:
        """Pack boolean masks of shape ``(n_out, n_in)``."""
        for matrix, mask in masks.items():
            want = layout.shape(matrix.matrix_type)
            if mask.shape != want or mask.dtype != np.bool_:
                raise MaskFormatError(f"Mask of {matrix} has shape {mask.shape}; expected boolean {want}.")
        return cls(layout, {matrix: np.packbits(mask) for matrix, mask in masks.items()})

    def dense(self, matrix: MatrixId) -> BoolArray:
        """Mask of one matrix, boolean, ``(n_out, n_in)``."""
        n_out, n_in = self.layout.shape(matrix.matrix_type)
        return np.unpackbits(self.bits[matrix], count=n_out * n_in).view(np.bool_).reshape(n_out, n_in)

    def kept(self, matrix: MatrixId) -> int:
        """Kept weights of one matrix."""
        return popcount(self.bits[matrix])

    @property
    def kept_total(self) -> int:
        """Kept weights of the encoder."""
        return sum(self.kept(matrix) for matrix in self.layout.matrices)

    @property
    def remaining(self) -> float:
        """Fraction of the encoder's prunable weights that is kept (scope: encoder)."""
        return self.kept_total / self.layout.n_weights

    @property
    def sha256(self) -> str:
        """Of the packed bits of all matrices, in the order of the layout: equal for equal masks alone."""
        digest = hashlib.sha256()
        for matrix in self.layout.matrices:
            digest.update(self.bits[matrix].tobytes())
        return digest.hexdigest()

    @property
    def kept_per_matrix(self) -> CountArray:
        """Kept weights of every matrix, ``(n_layers, 6)`` in the order of `MATRIX_TYPES`."""
        return self._by_layer(MATRIX_TYPES, self.kept)

    @property
    def kept_per_head_and_matrix(self) -> CountArray:
        """Kept weights of every head, ``(n_layers, 4, n_heads)`` in the order of `HEAD_TYPES`."""
        return self._by_layer(HEAD_TYPES, self.kept_per_head)

    def _by_layer(self, kinds: tuple[str, ...], count: Callable[[MatrixId], int | CountArray]) -> CountArray:
        layers = range(self.layout.n_layers)
        return np.array([[count(MatrixId(layer, kind)) for kind in kinds] for layer in layers], np.int64)

    def kept_per_head(self, matrix: MatrixId) -> CountArray:
        """Kept weights of each attention head, ``(n_heads,)``.

        A head owns a block of rows of query, key and value, and the same block of columns of attention_output.
        """
        if matrix.matrix_type not in HEAD_TYPES:
            raise ValueError(f"{matrix.matrix_type} has no attention heads.")
        heads, size, width = self.layout.n_heads, self.layout.head_size, self.layout.hidden_size
        by_column = matrix.matrix_type == ATTENTION_OUTPUT
        if size % 8 == 0:
            # Blocks of whole bytes are counted as they lie, eight weights at a time.
            shape = (width, heads, size // 8) if by_column else (heads, size, width // 8)
            counts = np.bitwise_count(self.bits[matrix]).reshape(shape)
        else:
            counts = self.dense(matrix).reshape((width, heads, size) if by_column else (heads, size, width))
        return counts.sum(axis=(0, 2) if by_column else (1, 2), dtype=np.int64)

    def __iter__(self) -> Iterator[MatrixId]:
        return iter(self.layout.matrices)


def whole(layout: EncoderLayout) -> MaskSet:
    """The mask that keeps every weight."""
    return MaskSet.from_dense(
        layout, {matrix: np.ones(layout.shape(matrix.matrix_type), bool) for matrix in layout.matrices}
    )


def random_like(masks: MaskSet) -> MaskSet:
    """A random mask, always the same, that keeps as much of every matrix as another does."""
    rng, layout = np.random.default_rng(0), masks.layout
    drawn = {
        matrix: top_k(rng.random(layout.shape(matrix.matrix_type), np.float32), masks.kept(matrix)) for matrix in masks
    }
    return MaskSet.from_dense(layout, drawn)
