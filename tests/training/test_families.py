"""Every family: a tiny model of its own configuration class is trained, its masks compared with the library's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest
from training.conftest import WORDS, tiny_data
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertTokenizerFast,
    CamembertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ElectraForPreTraining,
    MPNetConfig,
    XLMRobertaConfig,
)

from smp_lab import paths
from smp_lab.encoder_families import FAMILIES
from smp_lab.errors import ConfigError
from smp_lab.layout import MATRIX_TYPES
from smp_lab.masks import kept_count
from smp_lab.recipes import draft
from smp_lab.storage.runs import RunRecord
from smp_lab.training import prepare as prepare_module
from smp_lab.training.encoders import find_encoder, load_encoder
from smp_lab.training.examples import tokenize
from smp_lab.training.masking import given
from smp_lab.training.model import build_model
from smp_lab.training.pruned_weights import MaskedWeights
from smp_lab.training.run import train

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 48, "vocab_size": len(VOCABULARY)}
WIDTHS = SIZES | {"hidden_size": 16, "intermediate_size": 32}
CONFIGS = {
    "xlm-roberta": XLMRobertaConfig(**WIDTHS),
    "camembert": CamembertConfig(**WIDTHS),
    "electra": ElectraConfig(**WIDTHS, embedding_size=8),
    "distilbert": DistilBertConfig(dim=16, hidden_dim=32, n_layers=2, n_heads=2, **SIZES),
    "mpnet": MPNetConfig(**WIDTHS),
    "deberta-v2": DebertaV2Config(
        **WIDTHS, relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"], share_att_key=True
    ),
}


def checkpoint(folder: Path, model: torch.nn.Module) -> Path:
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def with_head(config) -> torch.nn.Module:
    torch.manual_seed(0)
    # Far from 0, so that every weight matters to the output.
    return AutoModelForMaskedLM.from_config(type(config)(**config.to_dict() | {"initializer_range": 0.3}))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A checkpoint of each family, with a masked-language-model head."""
    base = tmp_path_factory.mktemp("families")
    return {name: checkpoint(base / name, with_head(config)) for name, config in CONFIGS.items()}


@pytest.fixture(scope="module")
def trained(folders, tmp_path_factory) -> dict[str, RunRecord]:
    """A few steps of smp_s with each, in one folder of runs."""
    runs, data = tmp_path_factory.mktemp("runs"), tiny_data("rte", 16)
    settings = {"epochs": 2, "batch_size": 8, "max_length": 30, "precision": "fp32"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare_module, "load_task_data", lambda *_, **__: data)
        prepared = {
            name: prepare_module.prepare("rte", "smp_s", remaining=0.4, encoder=str(folder), **settings)
            for name, folder in folders.items()
        }
    return {name: train(ready, runs, command="smp-lab train") for name, ready in prepared.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_masks_are_those_of_the_librarys_model_with_weights_set_to_zero(folders, trained, name):
    folder, run = folders[name], trained[name]
    encoder = load_encoder(find_encoder(str(folder)))
    assert encoder.family is FAMILIES[name]
    examples = tokenize(tiny_data("rte", 4).train, encoder.tokenizer, 30)
    inputs = encoder.collator([{name: column[i] for name, column in examples.columns.items()} for i in range(4)])
    whole = AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    parameters = dict(whole.base_model.named_parameters())
    with torch.no_grad():
        for matrix in run.masks:
            parameters[encoder.family.parameter_name(matrix)].mul_(torch.from_numpy(run.masks.dense(matrix)))
        words = encoder.tokenizer.convert_tokens_to_ids(list(run.config.label_words))
        expected = whole(**inputs).logits[:, 0, words]
        model = build_model(run.config, encoder, total_steps=0).eval()
        model.pruned = MaskedWeights(model.pruned.part, masking=given(run.masks), with_scores=False)
        model.pruned.update(0)
        torch.testing.assert_close(model(**inputs)["logits"], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_scores_move_and_every_matrix_type_keeps_what_it_was_asked_for(trained, name):
    run = trained[name]
    sizes = [run.layout.n_layers * run.layout.size(kind) for kind in MATRIX_TYPES]
    assert run.kept.sum(axis=0).tolist() == [kept_count(0.4, size) for size in sizes]
    assert run.scores.flips_in.sum() > 0


@pytest.mark.parametrize("name", CONFIGS)
def test_the_longest_input_has_a_position_for_every_token(folders, name):
    longest = load_encoder(find_encoder(str(folders[name]))).max_length
    model = AutoModel.from_pretrained(folders[name]).eval()
    # No family's padding.
    tokens = torch.full((1, longest + 1), VOCABULARY.index("cat"))
    assert model(tokens[:, :longest]).last_hidden_state.isfinite().all()
    with pytest.raises((IndexError, RuntimeError)):
        model(tokens)


def test_every_page_opens_the_runs(trained, monkeypatch):
    runs = trained["mpnet"].path.parent
    monkeypatch.setenv(paths.RUNS_VARIABLE, str(runs))
    monkeypatch.setattr(paths, "cached_runs_folder", lambda: runs / "none")
    for page in sorted(paths.pages_folder().glob("*.py")):
        app = AppTest.from_file(str(paths.app_file()), default_timeout=60)
        # Overlap never mixes encoders.
        chosen = [trained["mpnet"]] if page.name == "overlap.py" else trained.values()
        app.query_params["runs"] = [run.run_id for run in chosen]
        app.run()
        if page.name != "overview.py":
            app.switch_page(str(page)).run()
        assert not app.exception and not app.error, page.name


def test_label_words_need_a_way_from_the_encoder_to_the_embeddings(tmp_path):
    """A discriminator of ELECTRA has no language-model head; its small size has narrow embeddings as well."""
    narrow = checkpoint(tmp_path / "narrow", ElectraForPreTraining(CONFIGS["electra"]))
    with pytest.raises(ConfigError, match=r"embeddings of 8 numbers and a width of 16.*--head linear"):
        build_model(draft("rte", "smp_s", remaining=0.4), load_encoder(find_encoder(str(narrow))), 1)
    build_model(draft("rte", "smp_s", remaining=0.4, head="linear"), load_encoder(find_encoder(str(narrow))), 1)
    wide = ElectraConfig(**WIDTHS, embedding_size=16)
    encoder = load_encoder(find_encoder(str(checkpoint(tmp_path / "wide", ElectraForPreTraining(wide)))))
    assert encoder.language_model_head is None
    assert build_model(draft("rte", "smp_s", remaining=0.4), encoder, 1).head.words.shape == (2, 16)
