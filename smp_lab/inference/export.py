"""A pruned model as a folder that opens without this project. One function per form; a new form is a line in `FORMS`.

Every folder has a README.md with what it holds and the lines that use it.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForMaskedLM

from smp_lab.errors import ConfigError, MissingDependencyError, RunWriteError, first_line
from smp_lab.inference.compact import compact
from smp_lab.inference.pruned import Model, Pruned
from smp_lab.paths import TEMPORARY_PREFIX
from smp_lab.storage.formats.tables import BITS_FACTS, BITS_FILE, DICTIONARY_FILE, WEIGHTS_FILE
from smp_lab.training.encoders import LOCAL
from smp_lab.training.heads import label_word_id
from smp_lab.training.kinds import trained_kind

ONNX_OPSET = 20
MODEL_FILE = {"compact": "model.pt2", "onnx": "model.onnx"}


class Classifier(nn.Module):
    """Encoder and head in one: token numbers in, scores of the label words out.

    Parameters
    ----------
    encoder
        Masked or compact.
    head
        From the first token to scores.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """``(batch, n_words)`` from ``(batch, tokens)`` each."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        return self.head(self.encoder(**inputs).last_hidden_state[:, 0])


@torch.no_grad()
def masked_encoder(pruned: Pruned) -> nn.Module:
    """A copy of the encoder whose prunable weights are W * M."""
    encoder = copy.deepcopy(pruned.encoder.model).eval().requires_grad_(False)
    pruned.model.pruned.update(0)
    for (name, _), weight in zip(pruned.encoder.matrix_parameters().values(), pruned.model.pruned(), strict=True):
        encoder.get_parameter(name).copy_(weight)
    return encoder


def compact_encoder(pruned: Pruned) -> nn.Module:
    """The same without what is empty; see `compact`."""
    return compact(masked_encoder(pruned), pruned.encoder.layout.n_heads)


def _write_masked(pruned: Pruned, folder: Path) -> str:
    encoder = masked_encoder(pruned)
    if pruned.encoder.language_model_head is None:
        encoder.save_pretrained(folder)
        save_file({"words": pruned.model.head.words.contiguous()}, folder / "head.safetensors")
        return _MASKED_HEAD
    model = AutoModelForMaskedLM.from_pretrained(pruned.encoder.files.folder, **LOCAL)
    model.base_model.load_state_dict(encoder.state_dict())
    model.save_pretrained(folder)
    return _MASKED_LM.replace("WORDS", str(_word_numbers(pruned)))


def _word_numbers(pruned: Pruned) -> list[int]:
    """The label words, as the head looks them up: a tokenizer may write a word in another way than people do."""
    return [label_word_id(pruned.encoder.tokenizer, word) for word in pruned.config.label_words or ()]


def _sample(pruned: Pruned) -> dict[str, Tensor]:
    """Two examples of unlike lengths, so that neither number of either axis is taken for fixed."""
    texts = ["A film.", "It was a long and winding road."]
    return dict(pruned.batch(*[texts] * len(pruned.config.task_info.text_fields)))


def _any_size(batch: Mapping[str, Tensor]) -> dict[str, dict[int, object]]:
    return {name: dict.fromkeys((0, 1), torch.export.Dim.AUTO) for name in batch}


def _write_compact(pruned: Pruned, folder: Path) -> str:
    model, batch = Classifier(compact_encoder(pruned), pruned.model.head), _sample(pruned)
    program = torch.export.export(model.eval(), (), batch, dynamic_shapes=_any_size(batch))
    # Where a disk is full torch ends the process if it writes the file itself.
    content = io.BytesIO()
    torch.export.save(program, content)
    (folder / MODEL_FILE["compact"]).write_bytes(content.getbuffer())
    return _COMPACT


def _write_onnx(pruned: Pruned, folder: Path, encoder_of: Callable[[Pruned], nn.Module] = compact_encoder) -> str:
    try:
        # The one opens what torch's exporter writes with the other.
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"ONNX needs the package {error.name!r}, which is not installed. Install the extra in the clone with: "
            "pip install -e '.[onnx]'"
        ) from None
    # It warns of torchvision, which nothing here needs.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    model, batch = Classifier(encoder_of(pruned), pruned.model.head), _sample(pruned)
    program = torch.onnx.export(
        model.eval(),
        (),
        kwargs=batch,
        dynamic_shapes=_any_size(batch),
        dynamo=True,
        opset_version=ONNX_OPSET,
        verbose=False,
    )
    program.save(folder / MODEL_FILE["onnx"], external_data=False)
    return _ONNX


def _write_bits(pruned: Pruned, folder: Path) -> str:
    masks, files = pruned.masks, pruned.encoder.files
    names = {matrix: name for matrix, (name, _) in pruned.encoder.matrix_parameters().items()}
    np.savez_compressed(folder / BITS_FILE, **{names[matrix]: masks.bits[matrix] for matrix in masks})
    facts = {
        "base_model": files.name,
        "base_model_sha256": files.sha256,
        "task": pruned.config.task,
        "label_words": pruned.config.label_words,
        "kept": masks.kept_total,
        "shapes": {names[matrix]: masks.layout.shape(matrix.matrix_type) for matrix in masks},
    }
    (folder / BITS_FACTS).write_text(json.dumps(facts, indent=1))
    return _BITS


def _write_prune(pruned: Pruned, folder: Path) -> str:
    weights = {name: tensor.contiguous() for name, tensor in pruned.encoder.model.state_dict().items()}
    for name, mask in _dense(pruned).items():
        weights[f"{name}_orig"] = weights.pop(name)
        weights[f"{name}_mask"] = torch.from_numpy(mask).to(weights[f"{name}_orig"].dtype)
    save_file(weights, folder / WEIGHTS_FILE)
    pruned.encoder.model.config.save_pretrained(folder)
    return _PRUNE


def _write_dictionary(pruned: Pruned, folder: Path) -> str:
    np.savez_compressed(folder / DICTIONARY_FILE, **_dense(pruned))
    return _DICTIONARY


def _dense(pruned: Pruned) -> dict[str, npt.NDArray[np.bool_]]:
    """Name of each prunable parameter -> its mask, ``(n_out, n_in)``."""
    return {name: pruned.masks.dense(matrix) for matrix, (name, _) in pruned.encoder.matrix_parameters().items()}


def onnx_session(file: Path, threads: int) -> Model:
    """What an ONNX form answers, in ONNX Runtime with so many threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda **batch: torch.from_numpy(session.run(None, {name: each.numpy() for name, each in batch.items()})[0])


def _open_masked(pruned: Pruned, folder: Path, threads: int) -> Model:
    if pruned.encoder.language_model_head is None:
        return Classifier(AutoModel.from_pretrained(folder, **LOCAL), pruned.model.head).eval()
    model = AutoModelForMaskedLM.from_pretrained(folder, **LOCAL).eval()
    words = _word_numbers(pruned)
    return lambda **batch: model(**batch).logits[:, 0, words]


def _open_compact(pruned: Pruned, folder: Path, threads: int) -> Model:
    return torch.export.load(folder / MODEL_FILE["compact"]).module()


def _open_onnx(pruned: Pruned, folder: Path, threads: int) -> Model:
    return onnx_session(folder / MODEL_FILE["onnx"], threads)


@dataclass(frozen=True)
class Form:
    """One way to write a pruned model.

    Parameters
    ----------
    title
        What it is, in one line.
    write
        Fills a folder and returns the lines of Python that use it.
    has_tokenizer
        Whether the tokenizer's files belong into the folder.
    open
        From the classifier, a folder of this form and a number of threads to what answers as the folder does; None
        where it is no whole model.
    """

    title: str
    write: Callable[[Pruned, Path], str]
    has_tokenizer: bool = True
    open: Callable[[Pruned, Path, int], Model] | None = None


FORMS: Mapping[str, Form] = {
    "masked": Form(
        "The whole encoder with its removed weights at zero, for transformers.", _write_masked, open=_open_masked
    ),
    "compact": Form(
        "Encoder and head without empty rows, columns and heads, for torch alone.", _write_compact, open=_open_compact
    ),
    "onnx": Form(f"The compact form for ONNX Runtime, opset {ONNX_OPSET}.", _write_onnx, open=_open_onnx),
    "onnx-masked": Form(
        f"The masked form for ONNX Runtime, opset {ONNX_OPSET}.",
        partial(_write_onnx, encoder_of=masked_encoder),
        open=_open_onnx,
    ),
    "bits": Form("The mask alone, one bit a weight: the frozen encoder is not in it.", _write_bits, False),
    "prune": Form("The encoder with the names of torch.nn.utils.prune: weight_orig and weight_mask.", _write_prune),
    "dictionary": Form("The mask alone, a boolean array for each parameter's name.", _write_dictionary, False),
}


def export(pruned: Pruned, folder: Path, form: str, *, cut: int = 0) -> Path:
    """Write a pruned model whole or not at all; see `exported`."""
    with exported(pruned, folder, form, cut=cut):
        return folder


@contextmanager
def exported(pruned: Pruned, folder: Path, form: str, *, cut: int = 0) -> Iterator[tuple[Path, list[str]]]:
    """Write a pruned model whole or not at all, with what is made of it before it gets its name.

    Parameters
    ----------
    pruned
        Loaded classifier.
    folder
        Is made; must not be there.
    form
        One of `FORMS`.
    cut
        Rows with fewer kept weights than this were emptied before, which its README.md says.

    Yields
    ------
    tuple
        The folder under another name, and a list for more lines of its README.md.

    Raises
    ------
    RunWriteError
        If the folder is there already, cannot be written, or the disk is full. Nothing is left behind.
    ConfigError
        If the form is a whole model, and the task asks for spans.
    MissingDependencyError
        If the form needs a package that is not installed.
    EncoderError
        If the encoder has no such form.
    """
    if FORMS[form].open is not None and trained_kind(pruned.config.task_info).by_token:
        raise ConfigError(
            f"Form {form} scores the first token, and task {pruned.config.task!r} asks for a span of tokens. Choose "
            f"one of: {', '.join(name for name, each in FORMS.items() if each.open is None)}."
        )
    if folder.exists():
        raise RunWriteError(f"{folder} is there already. Name a folder that is not there yet.")
    scratch = folder.parent / f"{TEMPORARY_PREFIX}{folder.name}-{secrets.token_hex(4)}"
    try:
        scratch.mkdir(parents=True)
        usage = FORMS[form].write(pruned, scratch)
        if FORMS[form].has_tokenizer:
            pruned.encoder.tokenizer.save_pretrained(scratch)
        lines: list[str] = []
        yield scratch, lines
        (scratch / "README.md").write_text(_card(pruned, form, usage, lines, cut))
        scratch.rename(folder)
    except (OSError, SafetensorError) as error:
        raise RunWriteError(
            f"{folder} cannot be written ({first_line(error)}). Free space or name another folder."
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _card(pruned: Pruned, form: str, usage: str, lines: Sequence[str], cut: int) -> str:
    config, masks = pruned.config, pruned.masks
    texts = ", ".join(['"A great film."', '"A good film."'][: len(config.task_info.text_fields)])
    usage = usage.strip().replace("TEXTS", texts)
    if len(config.label_words or ()) == 1:
        # The score of the one word is the answer.
        usage = usage.replace(".softmax(-1)", "")
    return "\n".join(
        (
            f"# {config.task_info.title}, {config.method_info.title}, {masks.remaining:.1%} of the weights",
            "",
            FORMS[form].title,
            "",
            f"- Made from run `{config.run_id}` by SMP Lab (Static Model Pruning, Jiang et al. 2023).",
            f"- Encoder: {pruned.encoder.files.source}; its licence holds here too. Fingerprint "
            f"{pruned.encoder.files.sha256}.",
            f"- Label words: {', '.join(config.label_words or ())}. Texts are cut to {config.max_length} tokens.",
            f"- Kept: {masks.kept_total:,} of {masks.layout.n_weights:,} prunable weights.",
            *([f"- Rows that keep fewer than {cut} weights are emptied, which changes answers."] if cut > 1 else []),
            *(f"- {line}" for line in lines),
            "",
            "```python",
            usage,
            "```",
            "",
        )
    )


_TEXT = 'tokenizer(TEXTS, return_tensors="pt")'
_MASKED_HEAD = f"""
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained("."), AutoModel.from_pretrained(".")
words = load_file("head.safetensors")["words"]  # a row for each label word
first = model(**{_TEXT}).last_hidden_state[:, 0]
print((first @ words.T).softmax(-1))
"""
_MASKED_LM = f"""
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained("."), AutoModelForMaskedLM.from_pretrained(".")
scores = model(**{_TEXT}).logits[:, 0]  # of every word, at the first token
print(scores[:, WORDS].softmax(-1))  # of the label words, by their numbers
"""
_COMPACT = f"""
import torch
from transformers import AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained("."), torch.export.load("{MODEL_FILE["compact"]}").module()
print(model(**{_TEXT}).softmax(-1))
"""
_ONNX = f"""
import onnxruntime
from transformers import AutoTokenizer

tokenizer, session = AutoTokenizer.from_pretrained("."), onnxruntime.InferenceSession("{MODEL_FILE["onnx"]}")
print(session.run(None, dict(tokenizer(TEXTS, return_tensors="np")))[0])  # scores of the label words
"""
_BITS = """
import json
from pathlib import Path

import numpy as np

facts, bits = json.loads(Path("mask.json").read_text()), dict(np.load("mask.npz"))


def mask(name):
    n_out, n_in = facts["shapes"][name]
    return np.unpackbits(bits[name], count=n_out * n_in).reshape(n_out, n_in).astype(bool)


def apply(model):  # a transformers encoder of facts["base_model"], such as AutoModel gives
    import torch

    for name in facts["shapes"]:
        model.get_parameter(name).data *= torch.from_numpy(mask(name))
"""
_PRUNE = f"""
from safetensors.torch import load_file
from torch.nn.utils import prune
from transformers import AutoConfig, AutoModel, AutoTokenizer

tensors = load_file("model.safetensors")
tokenizer, model = AutoTokenizer.from_pretrained("."), AutoModel.from_config(AutoConfig.from_pretrained(".")).eval()
for name in [name for name in tensors if name.endswith("weight_mask")]:
    prune.custom_from_mask(model.get_submodule(name.removesuffix(".weight_mask")), "weight", tensors[name])
model.load_state_dict(tensors, strict=False)
print(model(**{_TEXT}).last_hidden_state[0, 0, :3])
"""
_DICTIONARY = """
import numpy as np

masks = dict(np.load("masks.npz"))  # name of a parameter -> which of its weights are kept
"""
