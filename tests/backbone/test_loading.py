import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PegasusConfig, PegasusForConditionalGeneration

from personaplug.backbone.decoder_only import DecoderOnlyBackbone
from personaplug.backbone.encoder_decoder import EncoderDecoderBackbone
from personaplug.backbone.loading import BackboneConfig, in_folder, load_backbone, read_settings
from personaplug.config import override, read_toml, write_toml
from personaplug.errors import ConfigError, MissingExtraError
from tests import tiny

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Run:
    """As much of a run as names a language model."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)


def test_a_folder_of_either_family_loads_as_the_model_it_was_saved_from(models, family):
    built, loaded = tiny.FAMILIES[family](), load_backbone(BackboneConfig(models[family]))
    kinds = {"encoder-decoder": EncoderDecoderBackbone, "decoder-only": DecoderOnlyBackbone}
    assert type(loaded) is kinds[family]
    scores = [each.score(each.embed(["what is it"]), ["this"]).log_likelihood for each in (built, loaded)]
    assert torch.equal(*scores)


@pytest.mark.parametrize(
    ("name", "device", "dtype"),
    [("auto", "cpu", torch.float32), ("auto", "cuda:0", torch.bfloat16), ("float16", "cpu", torch.float16)],
)
def test_precision_is_settled_by_name_and_device(name, device, dtype):
    assert BackboneConfig(dtype=name).torch_dtype(device) == dtype


def test_a_model_in_bfloat16_scores_with_a_prefix_in_float32(models, family):
    backbone = load_backbone(BackboneConfig(models[family], dtype="bfloat16"))
    assert backbone.dtype == torch.bfloat16
    inputs = backbone.embed(["what is it"]).with_prefix(torch.randn(1, 2, backbone.dim))
    assert inputs.embeds.dtype == torch.bfloat16
    assert backbone.score(inputs, ["this"]).log_likelihood.isfinite().all()


@pytest.mark.parametrize(("asked", "is_used"), [("auto", True), (True, True), (False, False)])
def test_a_chat_template_is_used_unless_it_is_declined(family, asked, is_used, tmp_path):
    folder = tiny.save_model(tiny.FAMILIES[family](use_chat_template=True), tmp_path)
    chat = load_backbone(BackboneConfig(folder, use_chat_template=asked))
    assert chat.use_chat_template is is_used
    assert (chat.count_tokens("what") == len("[what]!") + 1) is is_used


def test_a_tokenizer_without_a_chat_template_wraps_nothing_by_default(models, family):
    assert load_backbone(BackboneConfig(models[family])).use_chat_template is False


def test_a_chat_template_that_is_not_there_is_refused_before_any_work(models, family):
    with pytest.raises(ConfigError, match="no chat template") as caught:
        load_backbone(BackboneConfig(models[family], use_chat_template=True))
    changed = override(Run(), [caught.value.hint.removeprefix("--set ")])
    assert changed.backbone.use_chat_template == "auto"


@pytest.mark.parametrize(("written", "read"), [("true", True), ("false", False), ('"auto"', "auto")])
def test_whether_inputs_are_wrapped_is_read_as_it_was_written(written, read, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(f"[backbone]\nuse_chat_template = {written}\n")
    assert read_toml(Run, path) == Run(BackboneConfig(use_chat_template=read))
    write_toml(read_toml(Run, path), path)
    assert f"use_chat_template = {written}\n" in path.read_text()


@pytest.mark.parametrize("written", ['"yes"', "1", '"true"'])
def test_whether_inputs_are_wrapped_is_never_guessed(written, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(f"[backbone]\nuse_chat_template = {written}\n")
    with pytest.raises(ConfigError, match="not bool or one of 'auto'"):
        read_toml(Run, path)


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantized_loading_without_bitsandbytes_names_the_extra(models, family, quantization, monkeypatch):
    monkeypatch.setattr("personaplug.backbone.loading.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=quantization) as caught:
        load_backbone(BackboneConfig(models[family], quantization=quantization))
    assert "personaplug[quantized]" in caught.value.hint


def test_an_unknown_model_is_named_with_a_hint():
    with pytest.raises(ConfigError, match="no-such/model") as caught:
        load_backbone(BackboneConfig("no-such/model"))
    assert "google/flan-t5-base" in caught.value.hint


@pytest.mark.parametrize("opened_by", [load_backbone, read_settings, in_folder])
def test_a_model_of_the_catalog_that_is_missing_is_refused_with_the_command_that_fetches_it(
    opened_by, tmp_path, monkeypatch
):
    monkeypatch.setenv("PERSONAPLUG_CACHE", str(tmp_path))
    monkeypatch.setattr("personaplug.models.places.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="smollm2 is not on this machine") as caught:
        opened_by(BackboneConfig("smollm2"))
    assert caught.value.hint == "personaplug models add smollm2"


def test_the_language_model_is_smollm2_where_none_is_named():
    assert BackboneConfig().model == "smollm2"


@pytest.mark.parametrize("opened_by", [load_backbone, read_settings, in_folder])
def test_the_model_that_once_came_along_is_refused(opened_by):
    with pytest.raises(ConfigError, match="nano is no longer part of personaplug"):
        opened_by(BackboneConfig("nano"))


@pytest.mark.parametrize("opened_by", [load_backbone, read_settings, in_folder])
def test_a_model_of_the_catalog_is_opened_by_its_path(opened_by, monkeypatch):
    monkeypatch.setattr("personaplug.models.places.find", lambda _: Path("/none/there.gguf"))
    with pytest.raises(ConfigError, match=r"/none/there\.gguf"):
        opened_by(BackboneConfig("smollm2"))


def test_a_model_that_writes_no_text_is_refused(models):
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_backbone(BackboneConfig(str(Path(models["encoder"]).parent)))


@pytest.mark.parametrize("fault", ["are missing", "have another size"])
def test_a_model_that_lacks_weights_is_refused_and_not_filled_with_random_ones(models, family, tmp_path, fault):
    folder = Path(shutil.copytree(models[family], tmp_path / "model"))
    weights = load_file(folder / WEIGHTS)
    name = next(key for key, weight in weights.items() if weight.ndim == 2 and weight.shape[0] != weight.shape[1])
    whole = weights.pop(name)
    save_file(weights if fault == "are missing" else weights | {name: whole[1:].clone()}, folder / WEIGHTS)
    with pytest.raises(ConfigError, match=f": 1 of the .* model's weights {fault}, such as"):
        load_backbone(BackboneConfig(str(folder)))


def test_a_table_that_transformers_computes_may_be_left_out_of_a_model(models, tmp_path):
    settings = PegasusConfig(
        vocab_size=300, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
    )  # fmt: skip
    folder = Path(shutil.copytree(models["encoder-decoder"], tmp_path / "model"))
    built = PegasusForConditionalGeneration(settings)
    built.save_pretrained(folder)
    weights = {name: weight for name, weight in load_file(folder / WEIGHTS).items() if "embed_positions" not in name}
    assert len(weights) < len(load_file(folder / WEIGHTS))
    save_file(weights, folder / WEIGHTS)
    loaded = load_backbone(BackboneConfig(str(folder))).model.state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in built.state_dict().items())


def test_pickled_weights_are_never_read(family, tmp_path):
    backbone = tiny.FAMILIES[family]()
    tiny.save_model(backbone, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(backbone.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_backbone(BackboneConfig(str(tmp_path)))


def test_remote_code_is_never_run_even_where_a_person_would_agree(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    tiny.save_with_own_code(tmp_path)
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_backbone(BackboneConfig(str(tmp_path)))
    assert not (tmp_path / "ran").exists()
