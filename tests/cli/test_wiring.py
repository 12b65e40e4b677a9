from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.device import start_torch
from personaplug.config import read_toml, write_toml
from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.embedder.encoder import BGE, TextEncoder
from personaplug.errors import ConfigError, FingerprintMismatchError, StoreError
from personaplug.evaluation.harness import LikelihoodMethod
from personaplug.method_kinds import METHODS, LearnedRetrieval, Retrieval
from personaplug.plug.encoders import encoder_config, encoder_of, load_encoder
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import RunConfig
from personaplug.records import Profile
from personaplug.store.base import StoreLayout
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import load_task
from personaplug.workflows.methods import MethodOptions, build_method
from tests import tiny
from tests.cli.conftest import PERSONA_AND_ITEMS
from tests.factories import make_item

CONTROLS = tuple(f"{name}+{items}" for name in ("tuned-prompt", "tuned-lora") for items in ("bm25", "dense"))
UNTRIED = (*get_args(LearnedRetrieval), *CONTROLS, "tuned-lora")  # tests of methods and retrieval have them

LOG = load_task("log")
SHORT = GenerationConfig(max_new_tokens=4)
LONG = "this goes on " * 200


@pytest.fixture
def options(place, tmp_path):
    """What every method may need: the plug's run, and its store, open."""
    with PersonaStore.open(place.store) as store:
        yield MethodOptions(
            QuerySource.ENCODER, run=place.plug, store=store, k=2, generation=SHORT, profiles=tmp_path / "profiles"
        )


@pytest.fixture(scope="module")
def examples(place):
    return split_examples(read_log(place.log, LOG), LOG, split="test")


def error_of(name, options, *, task=LOG):
    with pytest.raises(ConfigError) as caught:
        build_method(name, task, options=options)
    return caught.value


@pytest.mark.parametrize("name", [name for name in METHODS if name not in UNTRIED])
def test_every_method_is_built_by_its_name_and_answers(name, options, place, examples):
    runs = {"tuned-prompt": place.tuned, "user-lora": place.adapters}
    method = build_method(name, LOG, options=replace(options, run={**runs, **place.mixed}.get(name, place.plug)))
    assert isinstance(method, LikelihoodMethod)
    items = {"user-lora": ", bm25, k=2"} | dict.fromkeys([*get_args(Retrieval), *PERSONA_AND_ITEMS], ", k=2")
    assert method.name == name + items.get(name, "")
    assert len(method.respond(list(examples))) == len(examples)


@pytest.mark.parametrize("name", ["Plug", "plug ", "bm52", "", "mean"])
def test_a_name_is_never_guessed(name, options):
    error = error_of(name, options)
    assert str(error) == f"there is no method {name!r}"
    assert error.hint == f"methods: {', '.join(METHODS)}"


@pytest.mark.parametrize("name", ["plug", "tuned-prompt", "user-lora"])
def test_a_trained_method_needs_its_own_run(name, options, place):
    assert "needs a trained run" in str(error_of(name, replace(options, run=None)))
    other = place.plug if name == "tuned-prompt" else place.tuned
    error = error_of(name, replace(options, run=other))
    assert f"{other} holds a {'plug' if name == 'tuned-prompt' else 'tuned-prompt'}, not a {name}" in str(error)
    assert error.hint


@pytest.mark.parametrize("name", PERSONA_AND_ITEMS)
def test_a_mixed_run_brings_its_own_k_and_no_other_is_taken(name, options, place):
    options = replace(options, run=place.mixed[name])
    assert build_method(name, LOG, options=replace(options, k=None)).name == f"{name}, k=2"
    error = error_of(name, replace(options, k=4))
    assert str(error) == f"{options.run} was trained with 2 items in a prompt, not 4"
    assert error.hint == "-k 2, or no -k"


def test_a_mixed_run_is_taken_neither_for_a_plug_nor_for_one_of_another_retriever(options, place):
    words = place.mixed["plug+bm25"]
    for name in ("plug", "plug+dense"):
        error = error_of(name, replace(options, run=words))
        assert str(error) == f"{words} holds a plug+bm25, not a {name}"
        assert error.hint == "--method plug+bm25, or another --run"


def test_a_run_of_another_task_is_refused(options):
    error = error_of("plug", options, task=replace(LOG, name="mail"))
    assert "was trained for the task 'log', not 'mail'" in str(error)


@pytest.mark.parametrize("name", ["plug", "dense"])
def test_a_method_that_reads_vectors_needs_a_store(name, options):
    error = error_of(name, replace(options, store=None))
    assert "needs a store" in str(error)
    assert "--store" in error.hint


def test_an_untrained_method_takes_its_language_model_and_limits_from_a_run_or_by_name(options, models):
    of_run = build_method("plain", LOG, options=options)
    by_name = build_method("plain", LOG, options=replace(options, run=None, backbone=models["encoder-decoder"]))
    assert [method.backbone.model.config.model_type for method in (of_run, by_name)] == ["llama", "t5"]
    assert (of_run.writer.max_tokens, of_run.max_output_tokens) == (256, 128)


def test_items_of_an_untrained_method_are_as_long_as_its_run_says(options, place, tmp_path):
    config = read_toml(RunConfig, place.plug / "config.toml")
    write_toml(replace(config, items=replace(config.items, item_tokens=9)), tmp_path / "config.toml")
    method = build_method("recency", LOG, options=replace(options, run=tmp_path, k=1))
    assert (method.writer.item_tokens, method.writer.max_tokens) == (
        9,
        256 + len(method.writer.task.retrieval.separator) + 9,
    )


@pytest.mark.parametrize("k", [1, 4, 100])
@pytest.mark.parametrize("family", ["encoder-decoder", "decoder-only"])
def test_beside_retrieved_items_the_input_keeps_all_the_room_it_has_without(family, k, options, models, examples):
    options = replace(options, run=None, backbone=models[family], k=k)
    asked = replace(examples[0], input=LONG)
    plain, rival = (build_method(name, LOG, options=options) for name in ("plain", "recency"))
    (bare,), (prompted,) = (read_by(method, asked).rows for method in (plain, rival))
    lead, end = read_by(plain, asked).lead, 1
    shown = bare[lead:-end]
    assert len(bare) == 256
    (own,), (beside,) = plain.writer.write([asked]), rival.writer.write([asked])
    assert beside.endswith(plain.backbone.cut(own, max_tokens=256))
    assert any((prompted[at : at + len(shown)] == shown).all() for at in range(len(prompted) - len(shown)))
    assert len(prompted) <= (rival.backbone.positions(answer_tokens=128) or len(prompted))


def read_by(method, example):
    """Embed an example's prompt as the method does."""
    return method.backbone.embed(method.writer.write([example]), max_tokens=method.writer.max_tokens)


def test_more_items_than_the_language_model_has_room_for_are_refused(options, models):
    error = error_of("bm25", replace(options, run=None, backbone=models["decoder-only"], k=300))
    assert "has room for 384 tokens: too few for 300 items" in str(error)
    assert "--k" in error.hint


@pytest.mark.parametrize(("rank", "device"), [(None, "cuda:0"), ("3", "cuda:3")])
def test_each_process_of_a_training_on_many_gpus_takes_its_own(rank, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert start_torch() == device


@pytest.mark.parametrize("named", ["run", "encoder"])
def test_dense_retrieval_ranks_by_the_stored_vectors(named, options, place, examples, monkeypatch):
    by = {"run": options, "encoder": replace(options, run=None, encoder=place.models["encoder"])}[named]
    method = build_method("dense", LOG, options=replace(by, backbone=place.models["decoder-only"]))
    encoder = load_encoder(encoder_config(place.models["encoder"]), device="cpu")
    example = examples[0]
    (query,) = encoder.encode([example.input]).numpy()
    keys = options.store.vectors(example.profile)[:, 0].astype(np.float32)
    monkeypatch.setattr(type(encoder), "encode", lambda _, texts: pytest.fail(f"{len(texts)} texts were encoded anew"))
    monkeypatch.setattr("personaplug.plug.queries.QueryVectors.__call__", lambda *_: torch.from_numpy(query[None]))
    ranks = method.writer.retriever.rank(example.input, example.profile.items)
    assert ranks == sorted(range(len(keys)), key=lambda at: (-(keys[at] * query).sum(), -at))


@pytest.mark.parametrize("source", [QuerySource.ENCODER, QuerySource.STORE])
@pytest.mark.parametrize("name", ["plug", "plug+dense", "dense"])
def test_a_query_that_the_store_holds_is_encoded_all_the_same_unless_it_may_be_looked_up(
    name, source, options, place, examples, monkeypatch
):
    run = place.mixed.get(name, place.plug)
    method = build_method(name, LOG, options=replace(options, run=run, query_source=source))
    stored = examples[0].profile.items[0].input
    encoded = []
    encode = TextEncoder.encode
    monkeypatch.setattr(TextEncoder, "encode", lambda self, texts: encoded.extend(texts) or encode(self, texts))
    method.respond([replace(examples[0], input=stored)])
    assert encoded == [stored] * (source is QuerySource.ENCODER)


@pytest.mark.parametrize("own_query", [None, "(.)"])
def test_the_queries_of_a_batch_are_encoded_together(own_query, options, examples, monkeypatch):
    task = replace(LOG, retrieval=replace(LOG.retrieval, query=own_query))
    method = build_method("dense", task, options=options)
    sizes = []
    encode = TextEncoder.encode
    monkeypatch.setattr(TextEncoder, "encode", lambda self, texts: sizes.append(len(texts)) or encode(self, texts))
    method.respond(list(examples))
    assert sizes == [len({task.retrieval_query(example.input) for example in examples})]


def test_dense_retrieval_of_an_item_that_is_not_indexed_says_to_index(options, examples):
    method = build_method("dense", LOG, options=options)
    unknown = replace(examples[0], profile=Profile("ada", (make_item(1, "never indexed"),)))
    with pytest.raises(StoreError, match="no vector of history item '1'") as caught:
        method.respond([unknown])
    assert "personaplug index" in caught.value.hint


def test_an_encoder_has_the_settings_it_was_trained_with():
    assert encoder_config("BAAI/bge-base-en-v1.5") == BGE
    small = encoder_config("BAAI/bge-small-en-v1.5")
    assert (small.model, small.pooling, small.query_prefix) == ("BAAI/bge-small-en-v1.5", "cls", BGE.query_prefix)
    for name in ("minilm", "some/other"):  # as their folders say
        assert (encoder_config(name).model, encoder_config(name).pooling) == (name, "auto")


def test_an_encoder_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="the encoder 'nowhere' cannot be loaded"):
        load_encoder(encoder_config("nowhere"), device="cpu")


def test_a_built_encoder_is_frozen(models):
    encoder = load_encoder(encoder_config(models["encoder"]), device="cpu")
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_a_stores_encoder_is_found_by_its_fingerprint_and_no_other_is_taken(options, models, tmp_path, monkeypatch):
    layout = options.store.layout
    monkeypatch.chdir(tmp_path)
    tiny.save_model(tiny.text_encoder(), tmp_path / "encoder")
    assert encoder_of(layout, device="cpu").fingerprint == layout.fingerprint
    with pytest.raises(FingerprintMismatchError, match="were made by encoder 'other@1'"):
        encoder_of(StoreLayout("other@1", ("{input}",), 16), name=models["encoder"], device="cpu")
