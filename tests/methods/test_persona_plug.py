"""What a plug reads when it is evaluated, and where its attention goes."""

from dataclasses import replace

import numpy as np
import pytest

from personaplug.backbone.base import GenerationConfig
from personaplug.embedder.embedder_config import EmbedderConfig
from personaplug.evaluation.harness import AttentiveMethod
from personaplug.methods.persona_plug import PlugMethod
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.model import build_plug
from personaplug.plug.query_source import QuerySource
from tests.world import TASK, USERS, as_if_trained, make_run

MEASURES = ("log_likelihood", "answer_tokens", "prompt_tokens", "attention")


@pytest.fixture(scope="module", params=["plug", "tuned-prompt"])
def method(request, models, store):
    plug = build_plug(
        make_run(models, "decoder-only", method=request.param), TASK, store=store, query_source=QuerySource.STORE
    )
    return PlugMethod(request.param, as_if_trained(plug), GenerationConfig())


@pytest.fixture
def batches(method, monkeypatch):
    """The ids of the examples of each batch that the plug has made."""
    made = []
    make = method.plug.batcher

    class Counting:
        def __getattr__(self, name):
            return getattr(make, name)

        def __call__(self, examples):
            made.append([example.id for example in examples])
            return make(examples)

    monkeypatch.setattr(method.plug, "batcher", Counting())
    return made


def test_attention_is_measured_wherever_there_is_a_choice(method, examples):
    assert isinstance(method, AttentiveMethod)
    with_a_choice = sum(count >= 2 for count in USERS.values())
    assert len(method.attention(examples)) == (with_a_choice if method.name == "plug" else 0)
    assert method.attention(examples[:2]) == []


@pytest.mark.parametrize("method", ["plug"], indirect=True)
def test_attention_is_that_of_the_weights_similarities_and_ages_of_the_memories(method, examples):
    dee = examples[-1]
    (measured,) = method.attention([dee])
    (memories,) = method.plug.memories([dee])
    weights = np.array([memory.weight for memory in memories])
    similarities = np.array([memory.similarity for memory in memories])
    each = np.array([memory.weights for memory in memories])
    assert measured.effective_items == pytest.approx(np.exp(-(each * np.log(each)).sum(axis=0)).mean(), rel=1e-4)
    assert weights == pytest.approx(each.mean(axis=1))
    assert measured.similarity_lift == pytest.approx(weights @ similarities - similarities.mean(), abs=1e-5)
    newest_half = np.array([memory.age_days for memory in memories]) < np.median([m.age_days for m in memories])
    assert sum(measured.by_age[:5]) / 10 == pytest.approx(weights[newest_half].sum(), abs=1e-5)


def test_a_batch_is_read_once_for_answers_likelihoods_tokens_and_attention(method, batches, examples):
    method.respond(examples)
    for measure in MEASURES:
        getattr(method, measure)(list(examples))
    assert batches == [[example.id for example in examples]]


def test_every_answer_is_given_anew_so_that_its_time_is_that_of_all_its_work(method, batches, examples):
    assert method.respond(examples[:2]) == method.respond(examples[:2])
    assert len(batches) == 2


@pytest.mark.parametrize("reads", ["answer", "all"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_what_is_read_once_comes_to_the_answers_and_likelihoods_of_the_plug(
    models, family, store, examples, place, reads
):
    run = make_run(models, family, embedder=EmbedderConfig(place=place))
    run = replace(run, adapter=SharedAdapterConfig(rank=2, reads=reads))
    plug = as_if_trained(build_plug(run, TASK, store=store, query_source=QuerySource.STORE))
    method = PlugMethod("plug", plug, GenerationConfig(max_new_tokens=6))
    assert method.respond(examples) == plug.respond(examples, method.generation)
    scores = plug.score(examples)
    expected = scores.log_likelihood / scores.tokens
    np.testing.assert_allclose(method.log_likelihood(examples), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("measure", MEASURES)
def test_another_batch_is_not_mistaken_for_the_last(method, examples, measure):
    same_ids = [replace(example, id=before.id) for example, before in zip(examples[:2], examples[2:4], strict=True)]
    for other in (same_ids, examples[:3], examples[::-1], [replace(examples[0], target="no")]):
        fresh = getattr(PlugMethod(method.name, method.plug, method.generation), measure)(other)
        method.respond(examples[2:4])
        np.testing.assert_array_equal(getattr(method, measure)(other), fresh)
