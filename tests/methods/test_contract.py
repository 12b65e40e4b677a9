"""What every method promises, whichever family of language model it asks."""

from dataclasses import replace

import numpy as np
import pytest

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.loading import BackboneConfig, load_backbone
from personaplug.embedder.embedder_config import EmbedderConfig
from personaplug.embedder.encoder import EncoderConfig, TextEncoder
from personaplug.evaluation.cost import CountingMethod
from personaplug.evaluation.harness import LikelihoodMethod
from personaplug.method_kinds import METHOD_KINDS
from personaplug.methods.input_prompt import InputPrompt
from personaplug.methods.persona_plug import PlugMethod
from personaplug.methods.prompted import Prompted
from personaplug.plug.model import build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.records import Profile
from personaplug.retrieval.bm25 import BM25Retriever
from personaplug.retrieval.dense import DenseRetriever
from personaplug.retrieval.random_order import RandomRetriever
from personaplug.retrieval.recency import RecencyRetriever
from tests.world import TASK, as_if_trained, make_run

SHORT = GenerationConfig(max_new_tokens=8)
TRAINED = ("tuned-prompt", "tuned-lora", "tuned-prompt+bm25", "tuned-lora+dense", "plug", "plug+bm25", "plug+dense")
RETRIEVAL = ("bm25", "recency", "random", "dense")
READS_HISTORY = (*RETRIEVAL, *TRAINED[2:])
END = 1  # the token that closes an answer; the tiny models' other tokens are bytes


def build(name, family, models, store, *, embedder=EmbedderConfig()):  # noqa: B008 (frozen)
    """Build a method of tiny models."""
    if METHOD_KINDS[name].learns == "prefix":
        plug = build_plug(
            make_run(models, family, method=name, embedder=embedder), TASK, store=store, query_source=QuerySource.STORE
        )
        return PlugMethod(name, as_if_trained(plug), SHORT)
    backbone = load_backbone(BackboneConfig(models[family]))
    writer = InputPrompt(TASK, str, 256)
    if name != "plain":
        writer = RetrievalPrompt(TASK, retriever(name, models), 2, 40, backbone.count_tokens, str, 256)
    return Prompted(name, backbone, writer=writer, generation=SHORT)


def retriever(name, models):
    """Build a retriever that reads an item's input."""
    encoder = TextEncoder.load(EncoderConfig(model=models["encoder"], precision="float32"))
    return {
        "bm25": BM25Retriever(lambda item: item.input),
        "recency": RecencyRetriever(),
        "random": RandomRetriever(),
        "dense": DenseRetriever(
            lambda texts: encoder.encode(texts).numpy(),
            lambda items: encoder.encode([item.input for item in items]).numpy(),
        ),
    }[name]


@pytest.fixture(scope="module", params=["plain", *TRAINED, *RETRIEVAL])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def method(name, family, models, store):
    return build(name, family, models, store)


def test_every_method_also_tells_how_likely_it_held_the_right_answer(method, name):
    assert isinstance(method, LikelihoodMethod)
    assert method.name == name


def test_a_mixed_batch_is_answered_as_one_by_one(method, examples):
    together = method.respond(examples)
    assert together == [answer for example in examples for answer in method.respond([example])]
    assert len(together) == len(examples)


def test_a_mixed_batch_is_as_likely_as_one_by_one(method, examples):
    alone = [float(method.log_likelihood([example])[0]) for example in examples]
    np.testing.assert_allclose(method.log_likelihood(examples), alone, atol=1e-3)


def test_a_likelihood_is_the_backbones_own_score_a_token(method, name, examples):
    backbone = method.plug.backbone if name in TRAINED else method.backbone
    if name in TRAINED:
        inputs = method.plug.inputs(method.plug.batcher(examples))
    else:
        inputs = backbone.embed(method.writer.write(examples))
    loss = backbone.loss(inputs, [example.target for example in examples]).item()
    means, counts = method.log_likelihood(examples), method.answer_tokens(examples)
    assert (means < 0).all()
    assert -(means * counts).sum() / counts.sum() == pytest.approx(loss, abs=1e-4)


def test_the_tokens_of_an_answer_are_its_own_and_its_end(method, examples):
    assert {example.target for example in examples} == {"yes", "no"}
    assert method.answer_tokens(examples).tolist() == [len(example.target) + END for example in examples]


def test_an_answer_is_counted_and_scored_up_to_the_longest_there_may_be(method, examples):
    endless = [replace(examples[-1], target="yes" * 100)]
    assert method.answer_tokens(endless).tolist() == [128]
    assert np.isfinite(method.log_likelihood(endless)).all()


def test_an_answer_that_is_not_known_has_no_likelihood(method, examples):
    unknown = [examples[0], replace(examples[1], target=None)]
    assert len(method.respond(unknown)) == 2
    for measure in (method.log_likelihood, method.answer_tokens):
        with pytest.raises(ValueError, match="not known"):
            measure(unknown)


def test_the_tokens_of_a_prompt_are_what_the_language_model_reads(method, name, examples):
    assert isinstance(method, CountingMethod)
    if name in TRAINED:
        plug = method.plug
        texts = plug.batcher.prompts(examples)
        wanted = [plug.run.vectors + plug.backbone.count_tokens(text) for text in texts]
    else:
        wanted = list(map(method.backbone.count_tokens, method.writer.write(examples)))
    assert method.prompt_tokens(examples).tolist() == wanted


def test_a_plug_keeps_the_vectors_of_every_item_and_its_control_nothing(models, store, examples):
    plug, tuned = (build(name, "decoder-only", models, store) for name in ("plug", "tuned-prompt"))
    views, dim, float16 = 2, 16, 2
    kept = [len(each.profile.latest(20).items) * views * dim * float16 for each in examples]
    assert plug.user_bytes(examples).tolist() == kept
    assert tuned.user_bytes(examples).tolist() == [0] * len(examples)


def test_a_plug_keeps_no_vectors_of_views_that_it_does_not_read(models, store, examples):
    first = build("plug", "decoder-only", models, store, embedder=EmbedderConfig(values="first"))
    dim, float16 = 16, 2
    kept = [len(each.profile.latest(20).items) * dim * float16 for each in examples]
    assert first.user_bytes(examples).tolist() == kept


COMPARED = {
    "weighed": ({"made_of": "outputs"}, 1),
    "all alike": ({"made_of": "outputs", "weighting": "mean"}, 0),
    "some alike": ({"made_of": "outputs", "weighting": "mean", "items": 2, "items_by": "similar"}, 1),
    "quoted": ({"made_of": "quotes"}, 1),
}


@pytest.mark.parametrize("name", COMPARED)
def test_a_plug_made_of_outputs_keeps_what_they_are_compared_by_and_their_texts(models, store, examples, name):
    settings, views = COMPARED[name]
    config = EmbedderConfig(**settings)
    plug = build("plug", "decoder-only", models, store, embedder=config)
    dim, float16 = 16, 2
    items = [each.profile.latest(20).items for each in examples]
    kept = [sum(views * dim * float16 + len(item.output) for item in each) for each in items]
    assert plug.user_bytes(examples).tolist() == kept


@pytest.mark.parametrize("made_of", ["encoder", "outputs", "quotes"])
def test_a_plug_with_items_in_its_prompts_keeps_their_texts_too(models, store, examples, made_of):
    config = EmbedderConfig(made_of=made_of)
    plug, mixed = (build(name, "decoder-only", models, store, embedder=config) for name in ("plug", "plug+bm25"))
    items = [each.profile.latest(20).items for each in examples]
    texts = [
        sum(len(item.input) + (len(item.output) if made_of == "encoder" else 0) for item in each) for each in items
    ]
    assert (mixed.user_bytes(examples) - plug.user_bytes(examples)).tolist() == texts


@pytest.mark.parametrize(("retriever", "vector"), [("bm25", 0), ("dense", 16 * 2)])
def test_a_tuned_prompt_with_items_keeps_what_they_are_chosen_by(models, store, examples, retriever, vector):
    tuned = build(f"tuned-prompt+{retriever}", "decoder-only", models, store)
    items = [each.profile.latest(20).items for each in examples]
    kept = [sum(len(f"{item.input}{item.output}") + vector for item in each) for each in items]
    assert tuned.user_bytes(examples).tolist() == kept


def test_an_empty_history_is_a_history(method, examples):
    strangers_to_us = [replace(example, profile=Profile("nobody")) for example in examples]
    assert len(method.respond(strangers_to_us)) == len(examples)
    assert np.isfinite(method.log_likelihood(strangers_to_us)).all()


def test_a_strangers_history_matters_to_who_reads_histories_and_to_nobody_else(method, name, examples):
    (*_, cyd, dee) = examples
    own, strangers = method.log_likelihood([cyd, replace(cyd, profile=dee.profile)])
    assert (abs(own - strangers) > 1e-4) == (name in READS_HISTORY)
