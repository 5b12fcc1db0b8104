"""Masks as other tools write them. A format is a file here and a line in `FORMATS`.

All but one of them are tables of named arrays; which arrays there are, and of what numbers, says what they mean. Of a
table only the prunable matrices are looked at, whatever stands before their names, so a task head does no harm. The one
without names, the authors' release, is in `smp_lab.storage.release`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product, starmap
from pathlib import Path
from typing import NamedTuple

from smp_lab.config import digest_of
from smp_lab.encoder_families import MASK_SCORES, family_of
from smp_lab.errors import EncoderError, MaskFormatError
from smp_lab.layout import INTERMEDIATE, MATRIX_TYPES, OUTPUT, EncoderLayout, MatrixId
from smp_lab.masks import MaskSet
from smp_lab.storage.formats import dictionary, mask_scores, torch_prune, weights
from smp_lab.storage.formats.format import Asked, Format, Matrices
from smp_lab.storage.formats.tables import Stored, Table, TorchFile, prunable, read_table
from smp_lab.storage.release import MNLI_WORDS, RELEASED_WIDTHS, TITLE, release_masks
from smp_lab.storage.store import cut

__all__ = ["FORMATS", "Asked", "Base", "Opened", "Stored", "named_base", "open_mask"]

# The first that knows what is there reads it.
FORMATS: tuple[Format, ...] = (torch_prune.FORMAT, mask_scores.FORMAT, dictionary.FORMAT, weights.FORMAT)

# With fewer zeros a checkpoint was not pruned: a few weights are 0 by chance.
_FEWEST_ZEROS = 1e-3
# What names of a task's or a language model's head have in them, whatever stands before.
_HEADS = frozenset(
    {"classifier", "cls", "discriminator_predictions", "generator_lm_head", "generator_predictions", "lm_head"}
    | {"lm_predictions", "pre_classifier", "qa_outputs", "vocab_layer_norm", "vocab_projector", "vocab_transform"}
)
_SAID = "The mask is for {name}, which was said."
_ONLY = "The mask is for {name}: of the encoders known here it alone has these shapes."


class Base(NamedTuple):
    """An encoder that a mask may be for: its name, its fingerprint as in `RunConfig.base_model_sha256`, its shapes."""

    name: str
    sha256: str
    layout: EncoderLayout


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What a file turned out to hold.

    Parameters
    ----------
    masks
        The mask.
    format
        What it was read as, in words.
    base
        The encoder that it is for.
    assumed
        Sentences on what the file does not say.
    """

    masks: MaskSet
    format: str
    base: Base
    assumed: tuple[str, ...]


def open_mask(
    path: Path,
    torch_file: TorchFile,
    *,
    bases: Sequence[Base] = (),
    base: Base | None = None,
    asked: Asked | None = None,
) -> Opened:
    """Find out what a file or folder holds, and read the mask in it.

    Parameters
    ----------
    path
        A file, or the folder of a model.
    torch_file
        Reads a file of torch.
    bases
        Encoders that are known here: where one alone has the shapes of the mask, it is taken for its base.
    base
        The encoder that somebody says it is for.
    asked
        What else somebody says of it.

    Raises
    ------
    MaskFormatError
        If it cannot be read, holds no mask, or fits no encoder, or several.
    """
    table, asked = read_table(path, torch_file), asked or Asked()
    if asked.scores and not any(name.endswith(MASK_SCORES) for name in table.arrays):
        raise MaskFormatError(f"{path.name} holds no {MASK_SCORES}, so --scores says nothing of it. Leave that out.")
    if set(table.arrays) == {""}:
        return _release(path, table, bases, base, asked)
    format, matrices, weighed = _format_of(path, table)
    found, words = _base_of(path, table, _shape(path, {**weighed, **matrices}), bases, base)
    dense = {}
    for matrix, stored in {**weighed, **matrices}.items():
        try:
            dense[matrix] = (weights.FORMAT if matrix in weighed else format).mask(stored.read(), asked)
        except MaskFormatError as error:
            raise MaskFormatError(f"{path.name}, {matrix}: {error}") from None
    masks = MaskSet.from_dense(found.layout, dense)
    if format is weights.FORMAT and 1 - masks.remaining < _FEWEST_ZEROS:
        raise MaskFormatError(
            f"{path.name} has {1 - masks.remaining:.1%} zeros in its prunable weights: nothing is pruned here."
        )
    plain = f"{len(weighed)} matrices have no mask of their own: in them a weight is removed where it is exactly 0."
    assumed = (format.assumed(asked), *([plain] if weighed else []), words)
    return Opened(masks=masks, format=format.title, base=found, assumed=assumed)


def _release(path: Path, table: Table, bases: Sequence[Base], base: Base | None, asked: Asked) -> Opened:
    packed = table.arrays[""].read()
    fits = [base] if base else [each for each in bases if each.layout.n_weights == 8 * packed.size]
    if len(fits) != 1:
        raise MaskFormatError(
            f"{path.name} holds {packed.size:,} bytes without a name, and {len(fits) or 'none'} of the encoders known "
            "here have as many bits. Name the one that it is for with --base."
        )
    assumed = [
        "Its bits are matrix after matrix, in the order of the letters of their names.",
        (_SAID if base else _ONLY).format(name=fits[0].name),
    ]
    if asked.task == "mnli" and fits[0].layout.widths == RELEASED_WIDTHS:
        words = "entailment by {!r}, neutral by {!r} and contradiction by {!r}".format(*MNLI_WORDS)
        assumed.append(f"As in the authors' file of MNLI, it scores {words}.")
    masks = release_masks(packed, fits[0].layout, path.name)
    return Opened(masks=masks, format=TITLE, base=fits[0], assumed=tuple(assumed))


def _format_of(path: Path, table: Table) -> tuple[Format, Matrices, Matrices]:
    """What is there, the matrices that are written so, and others of which there are the weights alone."""
    parts = prunable(table, path.name)
    for format in FORMATS:
        for ending in format.endings:
            if ending in parts and format.knows(parts[ending]):
                plain = parts.get("weight", {})
                return format, parts[ending], {each: plain[each] for each in plain if each not in parts[ending]}
    if parts:
        raise MaskFormatError(
            f"{path.name} has {cut(', '.join(sorted(parts)))} of its matrices, and none of the arrays that are read "
            "here: it is quantised or compressed. Import the model from before, or save it unpacked."
        )
    some = cut(", ".join(map(repr, table.arrays)) or "nothing")
    raise MaskFormatError(
        f"{path.name} holds no matrices of an encoder that is known here: it has {some}. Names such "
        "as bert.encoder.layer.0.attention.self.query.weight are."
    )


def _shape(path: Path, matrices: Matrices) -> tuple[int, int, int]:
    """Layers, width and feed-forward width of matrices, which have to fit each other."""
    n_layers = 1 + max(matrix.layer for matrix in matrices)
    if missing := [each for each in starmap(MatrixId, product(range(n_layers), MATRIX_TYPES)) if each not in matrices]:
        raise MaskFormatError(
            f"{path.name} has no {missing[0]}; a mask is over all {6 * n_layers} matrices of {n_layers} layers."
        )
    shape = matrices[MatrixId(0, INTERMEDIATE)].shape
    intermediate, hidden = shape if len(shape) == 2 else (0, 0)
    wanted = {INTERMEDIATE: (intermediate, hidden), OUTPUT: (hidden, intermediate)}
    for matrix, stored in matrices.items():
        want = wanted.get(matrix.matrix_type, (hidden, hidden))
        if stored.shape != want:
            raise MaskFormatError(
                f"{path.name} has a {matrix} of shape {stored.shape}; expected {want}. Where heads or rows were cut "
                "out, what is left does not say which weights it was: import the model from before, with zeros in "
                "their place."
            )
    return n_layers, hidden, intermediate


def _base_of(
    path: Path, table: Table, shape: tuple[int, int, int], bases: Sequence[Base], base: Base | None
) -> tuple[Base, str]:
    """The encoder of a mask of some shape, and in words how it is known."""
    words = f"{shape[0]} layers of width {shape[1]:,} and {shape[2]:,}"
    if base is not None:
        if base.layout.widths != shape:
            raise MaskFormatError(f"{path.name} holds {words}; {base.name} has other shapes. Name its own base.")
        return base, _SAID.format(name=base.name)
    own = _own_base(path, table, shape)
    fitting = [each for each in bases if each.layout.widths == shape]
    if own:
        fitting = [each for each in fitting if each.layout.n_heads == own.layout.n_heads]
    alike = [each for each in fitting if own is None or _may_be(each.layout, own.layout)]
    # A mask of this project says whose it is, and a checkpoint what it was made of.
    said = table.config.get("base_model_sha256"), table.config.get("_name_or_path")
    if named := [each for each in fitting if each.sha256 == said[0] or each.name == said[1]]:
        return named[0], f"The mask is for {named[0].name}, which stands beside it."
    if len(alike) == 1:
        return alike[0], _ONLY.format(name=alike[0].name)
    if own:
        return own, f"The mask is for {own.name}, which is not known here: it is compared with masks for it alone."
    raise MaskFormatError(
        f"{path.name} holds {words}; {len(fitting) or 'none'} of the encoders known here have these shapes. Name the "
        "one that it is for with --base."
    )


def _may_be(known: EncoderLayout, own: EncoderLayout) -> bool:
    """Whether a model may be of a known encoder: another vocabulary is further off than a pooler that is not stored."""
    pooler = known.hidden_size * (known.hidden_size + 1)
    # Without embeddings the matrices are all that there is to go by.
    return own.n_parameters == own.n_weights or abs(known.n_parameters - own.n_parameters) <= pooler


def _own_base(path: Path, table: Table, shape: tuple[int, int, int]) -> Base | None:
    """The encoder that a model's own configuration says; None without one."""
    if not {"model_type", "architectures"} & set(table.config):
        return None
    try:
        family = family_of(table.config)
        n_heads = int(table.config[family.sizes[3]])
    except EncoderError as error:
        raise MaskFormatError(f"{path.name} holds weights of a model that {error}") from None
    except (KeyError, TypeError, ValueError, OverflowError):
        raise MaskFormatError(f"{path.name} has no number as {family.sizes[3]} in its config.json.") from None
    sizes: dict[str | MatrixId, int] = {}
    for name, stored in table.arrays.items():
        matrix, ending = family.locate(name) or (None, "")
        # Weights of a matrix and its mask, or its scores, may both be there.
        part = name if matrix is None or ending == "bias" else matrix
        # Of position numbers, which older checkpoints hold, none is a parameter.
        if not _HEADS & set(name.split(".")) and not name.endswith("_ids"):
            sizes[part] = max(sizes.get(part, 0), math.prod(stored.shape))
    layout = EncoderLayout(*shape, n_heads, sum(sizes.values()))
    return named_base(str(table.config.get("_name_or_path") or path.name), layout)


def named_base(name: str, layout: EncoderLayout) -> Base:
    """An encoder that is known by its name and shapes alone; so is its fingerprint."""
    return Base(name, digest_of({"name": name, **layout.to_dict()}), layout)
