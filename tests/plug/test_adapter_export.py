"""A run's adapter as a LoRA of PEFT's: what PEFT answers with it is what the run answers."""

import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from personaplug.errors import ConfigError
from personaplug.plug import adapter_export
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.adapter_export import LORA_CONFIG, LORA_WEIGHTS, RunLora
from personaplug.plug.model import build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run_folder import WEIGHTS
from tests import tiny
from tests.world import TASK, as_if_trained, make_run

ALL = SharedAdapterConfig(rank=3, alpha=10.0, reads="all")


@pytest.fixture(scope="module")
def every_model(models, tmp_path_factory):
    """Both families, and one whose maps' weights lie the other way round."""
    folder = tmp_path_factory.mktemp("absolute")
    return {**models, "absolute": tiny.save_model(tiny.absolute_decoder_only(), folder)}


@pytest.fixture
def saved(every_model, store, tmp_path):
    """Save a run as if it were trained; give its folder and its plug."""

    def save(family="decoder-only", adapter=ALL, *, method="plug", name="run"):
        run = replace(make_run(every_model, family, method=method), adapter=adapter)
        plug = as_if_trained(build_plug(run, TASK, store=store, query_source=QuerySource.STORE))
        plug.save_pretrained(tmp_path / name)
        return tmp_path / name, plug

    return save


def logits(model, row, targets):
    """Have a model read an input's vectors and then an answer; give all that it would say next."""
    if model.config.is_encoder_decoder:
        return model(inputs_embeds=row, decoder_input_ids=targets).logits
    return model(inputs_embeds=torch.cat([row, model.get_input_embeddings()(targets)], dim=1)).logits


@pytest.mark.parametrize("places", ["attention", "query-value"])
@pytest.mark.parametrize("family", ["decoder-only", "absolute", "encoder-decoder"])
@torch.inference_mode()
def test_peft_with_the_exported_adapter_gives_the_logits_of_the_run(saved, examples, tmp_path, family, places):
    folder, plug = saved(family, replace(ALL, places=places))
    RunLora.of(folder).export(tmp_path / "lora")
    kind = AutoModelForSeq2SeqLM if family == "encoder-decoder" else AutoModelForCausalLM
    bare = kind.from_pretrained(plug.run.backbone.model).eval()
    targets = torch.tensor([plug.backbone.tokenizer("yes, no", add_special_tokens=False).input_ids])
    inputs = plug.embedded(examples[-1:])
    row = inputs.rows[0][None].double()
    for each in (plug.backbone.model, plug.adapter, bare):
        each.double()  # in float32 the order of sums, which differs from processor to processor, is as large as 1e-4
    with inputs.beside(0) as model:
        ours = logits(model, row, targets)
    assert not torch.allclose(logits(bare, row, targets), ours, atol=0.1)
    theirs = logits(PeftModel.from_pretrained(bare, tmp_path / "lora").eval().double(), row, targets)
    torch.testing.assert_close(theirs, ours, atol=1e-6, rtol=1e-6)


def test_it_stands_beside_the_maps_of_the_run_and_no_others(saved, tmp_path):
    for places, count in (("attention", 8), ("query-value", 4)):
        folder, plug = saved(adapter=replace(ALL, places=places), name=f"run-{places}")
        RunLora.of(folder).export(tmp_path / places)
        bare = AutoModelForCausalLM.from_pretrained(plug.run.backbone.model)
        adapted = PeftModel.from_pretrained(bare, tmp_path / places)
        beside = {name.removeprefix("base_model.model.") for name, each in adapted.named_modules() if _is_adapted(each)}
        assert beside == set(plug.adapter.names)
        assert len(beside) == count


def _is_adapted(module):
    return hasattr(module, "lora_A")


def test_what_is_written_is_two_files_that_any_engine_may_read(saved, tmp_path):
    folder, _ = saved()
    RunLora.of(folder).export(tmp_path / "new" / "lora")
    assert {each.name for each in (tmp_path / "new" / "lora").iterdir()} == {LORA_CONFIG, LORA_WEIGHTS}
    described = json.loads((tmp_path / "new" / "lora" / LORA_CONFIG).read_text())
    assert (described["r"], described["lora_alpha"]) == (3, 10)
    assert described["target_modules"] == ["k_proj", "o_proj", "q_proj", "v_proj"]
    assert described["bias"] == "none"


def test_a_run_whose_adapter_reads_answers_alone_is_refused_with_the_way_out(saved):
    folder, _ = saved(adapter=replace(ALL, reads="answer"))
    with pytest.raises(ConfigError, match="reads answers alone") as caught:
        RunLora.of(folder)
    assert "--set adapter.reads=all" in caught.value.hint


@pytest.mark.parametrize("how", [{"reads": "all", "learns": "apart"}, {"reads": "answer"}])
def test_a_run_with_columns_for_personas_alone_is_refused_with_the_way_out(saved, how):
    folder, _ = saved("encoder-decoder", replace(ALL, **how))
    with pytest.raises(ConfigError, match="columns for personas alone") as caught:
        RunLora.of(folder)
    assert "--set adapter.learns=both" in caught.value.hint


def test_one_that_stands_beside_a_decoder_alone_is_a_lora(saved, tmp_path):
    folder, plug = saved("encoder-decoder", replace(ALL, reads="answer", learns="both"))
    RunLora.of(folder).export(tmp_path / "lora")
    described = json.loads((tmp_path / "lora" / LORA_CONFIG).read_text())
    assert sorted(described["target_modules"]) == sorted(plug.adapter.names)


def test_a_run_without_an_adapter_or_without_weights_is_refused(saved):
    folder, _ = saved(adapter=SharedAdapterConfig(rank=0))
    with pytest.raises(ConfigError, match="has no adapter of all users"):
        RunLora.of(folder)
    folder, _ = saved(name="unfinished")
    (folder / WEIGHTS).unlink()
    with pytest.raises(ConfigError, match="is not finished"):
        RunLora.of(folder)
    with pytest.raises(ConfigError, match="is no run"):
        RunLora.of(folder / "nowhere")


def test_a_tuned_lora_is_exported_without_any_store(saved, tmp_path):
    folder, _ = saved(method="tuned-lora")
    RunLora.of(folder).export(tmp_path / "lora")
    assert (tmp_path / "lora" / LORA_WEIGHTS).is_file()


def test_other_weights_or_another_scale_have_another_name(saved):
    folder, plug = saved()
    name = RunLora.of(folder).name
    assert RunLora.of(saved(name="same")[0]).name == name
    assert RunLora.of(saved(adapter=replace(ALL, alpha=11.0), name="scaled")[0]).name != name
    with torch.no_grad():
        plug.adapter.second[0] += 1.0
    plug.save_pretrained(folder)
    assert RunLora.of(folder).name != name


def test_a_folder_that_holds_something_is_left_as_it_is(saved, tmp_path):
    folder, _ = saved()
    held = tmp_path / "held"
    held.mkdir()
    (held / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="holds something already"):
        RunLora.of(folder).export(held)
    with pytest.raises(ConfigError, match="holds something already"):
        RunLora.of(folder).export(held / "letter.txt")
    assert [each.name for each in held.iterdir()] == ["letter.txt"]


def test_an_empty_folder_is_filled_even_the_one_that_one_stands_in(saved, tmp_path, monkeypatch):
    folder, _ = saved()
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    RunLora.of(folder).export(Path())
    assert {each.name for each in here.iterdir()} == {LORA_CONFIG, LORA_WEIGHTS}


def test_an_export_that_fails_leaves_nothing(saved, tmp_path):
    folder, _ = saved()
    out = tmp_path / "there" / "lora"
    with (
        mock.patch.object(adapter_export, "write_text", side_effect=OSError(28, "no room")),
        pytest.raises(OSError, match="no room"),
    ):
        RunLora.of(folder).export(out)
    assert list(out.parent.iterdir()) == []
