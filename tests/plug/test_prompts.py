"""Persona and retrieved items together: which items stand in the prompt, whose they are, and what stays as it was."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.backbone.base import GenerationConfig
from personaplug.data.log import Interaction
from personaplug.data.split import split_examples
from personaplug.data.stranger import with_strangers
from personaplug.embedder.encoder import TextEncoder
from personaplug.errors import ConfigError
from personaplug.plug.model import PersonaPlug, build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.retrievers import by_product
from personaplug.plug.run import ItemsConfig
from personaplug.retrieval.bm25 import BM25Retriever
from personaplug.tasks.task import Retrieval, Splitting
from personaplug.training.batches import TrainingSet
from tests import tiny
from tests.factories import make_item
from tests.world import TASK, USERS, as_if_trained, encoder_in, make_run

MIXED = ("plug+bm25", "plug+dense")
SHORT = GenerationConfig(max_new_tokens=8)
QUESTION = "your own view about x"


def build(models, family, store, *, method, items=ItemsConfig(k=2)):  # noqa: B008 (frozen)
    run = replace(make_run(models, family, method=method), items=items)
    return as_if_trained(build_plug(run, TASK, store=store, query_source=QuerySource.STORE))


@pytest.fixture(scope="module", params=MIXED)
def plug(request, models, family, store):
    return build(models, family, store, method=request.param)


@pytest.fixture(scope="module")
def alone(models, family, store):
    return build(models, family, store, method="plug")


@pytest.fixture(scope="module")
def words(models, store):
    return build(models, "decoder-only", store, method="plug+bm25")


@pytest.mark.parametrize("method", ["plug+dense", "tuned-prompt+dense"])
def test_a_mixed_run_of_a_task_that_ranks_by_products_encodes_its_items_itself(models, store, examples, method):
    run, task = (
        make_run(models, "decoder-only", method=method),
        replace(TASK, retrieval=Retrieval(similarity="product")),
    )
    write = build_plug(run, task, store=store, query_source=QuerySource.STORE).batcher.prompts.items
    asked = next(example for example in examples if len(example.profile.items) > 2)
    items = task.searched(asked.profile).items
    pooled = by_product(task, encoder_in(models))
    assert write.retriever.rank("x", items) == pooled.rank("x", items)
    assert write.retriever.encodes_items
    assert write.vector_bytes == 2 * encoder_in(models).dim  # kept beside the persona's, which have unit length


@pytest.mark.parametrize("retriever", ["bm25", "dense"])
def test_the_control_reads_the_same_prompts_behind_vectors_that_are_the_same_for_all(
    models, store, examples, retriever
):
    plug, tuned = (
        build(models, "decoder-only", store, method=f"{name}+{retriever}") for name in ("plug", "tuned-prompt")
    )
    assert tuned.batcher(examples).prompts == plug.batcher(examples).prompts
    prefix = tuned.prefix(tuned.batcher(examples))
    assert prefix.shape == plug.prefix(plug.batcher(examples)).shape
    assert torch.equal(prefix, prefix[:1].expand_as(prefix))


def test_a_tuned_prompt_needs_a_store_only_to_compare_vectors(models, examples):
    assert build(models, "decoder-only", None, method="tuned-prompt+bm25").respond(examples, SHORT)
    with pytest.raises(ConfigError, match=r"tuned-prompt\+dense needs a store"):
        build(models, "decoder-only", None, method="tuned-prompt+dense")


def written(items, text):
    """Write a prompt as the task says."""
    return "".join(f"{TASK.item_text(item)}\n" for item in items) + f"Say: {text}"


def best(plug, example, *, k=2):
    """Rank the items that the task shows, later items first among equals, by what stands in log and store."""
    shown, query = example.profile.latest(20), TASK.query_text(example.input)
    items = shown.items
    if plug.run.retriever == "bm25":
        return [items[at] for at in BM25Retriever(lambda item: f"{item.input} {item.output}").rank(query, items)[:k]]
    if not items:
        return []
    (asked,) = tiny.text_encoder().encode([query]).double().numpy()
    cosines = plug.store.vectors(shown)[:, 0].astype(float) @ asked
    return [items[at] for at in sorted(range(len(items)), key=lambda at: (-cosines[at], -at))[:k]]


def test_the_prompt_is_the_retrievers_best_items_and_then_the_input(plug, examples):
    batch = plug.batcher(examples)
    assert list(batch.prompts) == [written(best(plug, example), example.input) for example in examples]


@pytest.mark.parametrize("own_query", [None, "(.)$"])
def test_the_queries_that_items_are_ranked_by_are_encoded_together(models, store, examples, own_query, monkeypatch):
    task = replace(TASK, retrieval=replace(TASK.retrieval, query=own_query))
    plug = build_plug(
        make_run(models, "decoder-only", method="plug+dense"), task, store=store, query_source=QuerySource.ENCODER
    )
    sizes = []
    encode = TextEncoder.encode
    monkeypatch.setattr(TextEncoder, "encode", lambda self, texts: sizes.append(len(texts)) or encode(self, texts))
    plug.batcher([replace(example, input=f"{QUESTION} {number}") for number, example in enumerate(examples)])
    assert sizes == [len(examples)] * (2 if own_query else 1)


def test_the_persona_reads_all_that_it_reads_without_items(plug, alone, examples):
    mixed, bare = plug.batcher(examples), alone.batcher(examples)
    assert torch.equal(mixed.history.vectors, bare.history.vectors)
    torch.testing.assert_close(plug.prefix(mixed), alone.prefix(bare), atol=1e-4, rtol=1e-4)


def test_items_change_the_answers_likelihood_exactly_where_there_are_any(plug, alone, examples):
    mixed, bare = plug.score(examples).log_likelihood, alone.score(examples).log_likelihood
    assert ((mixed - bare).abs() > 1e-3).tolist() == [count > 0 for count in USERS.values()]


def test_without_persona_nothing_of_the_user_is_left_the_items_neither(plug, alone, examples):
    bare = alone.respond(examples, SHORT, with_persona=False)
    assert plug.respond(examples, SHORT, with_persona=False) == bare


def test_save_then_load_keeps_retriever_k_and_every_answer(plug, store, examples, tmp_path):
    plug.save_pretrained(tmp_path / "run")
    loaded = PersonaPlug.from_pretrained(tmp_path / "run", store=store)
    assert (loaded.run.method, loaded.run.items) == (plug.run.method, ItemsConfig(k=2))
    assert loaded.batcher(examples).prompts == plug.batcher(examples).prompts
    assert loaded.respond(examples, SHORT) == plug.respond(examples, SHORT)


def test_a_user_who_asks_is_answered_by_items_of_their_own_store(plug):
    (prompt,) = plug.batcher([plug.example(QUESTION, user="dee")]).prompts
    assert prompt == written(best(plug, plug.example(QUESTION, user="dee")), QUESTION)
    assert plug.generate(QUESTION, user="nobody", config=SHORT) is not None


def test_explained_memories_tell_which_of_them_stand_in_the_prompt(plug, alone):
    marked = {memory.item for memory in plug.explain(QUESTION, user="dee") if memory.is_in_prompt}
    assert marked == set(best(plug, plug.example(QUESTION, user="dee")))
    assert not any(memory.is_in_prompt for memory in alone.explain(QUESTION, user="dee"))


@settings(max_examples=20)
@given(draw=st.integers(0, 200))
def test_in_training_items_come_from_what_history_dropout_has_left(words, examples, draw):
    draws = TrainingSet(examples, seed=0, drops_history=True)
    whole, seen = examples[draw % len(examples)], draws[draw]
    (prompt,) = words.batcher([seen]).prompts
    assert prompt == written(best(words, seen), seen.input)
    assert set(words.batcher.prompts.retrieved(seen)) <= set(seen.profile.items) <= set(whole.profile.items)


def test_items_are_strictly_earlier_and_a_stranger_brings_persona_and_items(models, store):
    task = replace(TASK, split=Splitting("latest"))
    rows = [
        Interaction(user, make_item(day, f"of {user} about x {day}", "yes"))
        for user in ("ada", "ben")
        for day in range(4)
    ]
    own = split_examples(rows, task, split="test")
    prompts = build(models, "decoder-only", store, method="plug+bm25", items=ItemsConfig(k=9)).batcher.prompts
    for example in own:
        assert {item.id for item in prompts.retrieved(example)} == {"0", "1", "2"}
        assert example.id == "3"
    for mine, theirs in zip(own, with_strangers(own, seed=0), strict=True):
        shown = prompts.retrieved(theirs)
        assert set(shown) == set(theirs.profile.items)
        assert theirs.profile.user_id != mine.profile.user_id
        assert all(f"of {theirs.profile.user_id}" in item.input for item in shown)


@pytest.mark.parametrize("k", [1, 4, 100])
def test_beside_items_the_input_keeps_all_the_room_it_has_without(models, family, store, examples, k):
    (*_, cyd, _) = examples
    asked = [replace(cyd, input="this goes on " * 200)]
    mixed, alone = (
        build(models, family, store, method=method, items=ItemsConfig(k=k)) for method in ("plug+bm25", "plug")
    )
    (bare,), (prompted,) = (plug.inputs(plug.batcher(asked)).rows for plug in (alone, mixed))
    lead, vectors = mixed.inputs(mixed.batcher(asked)).lead, mixed.run.embedder.vectors
    shown = bare[lead + vectors : -1]
    assert len(bare) == 256 + vectors
    assert any((prompted[at : at + len(shown)] == shown).all() for at in range(len(prompted) - len(shown)))
    assert len(prompted) <= (mixed.backbone.positions(answer_tokens=128) or len(prompted))


def test_more_items_than_the_language_model_has_room_for_are_refused(models, store):
    with pytest.raises(ConfigError, match="has room for 379 tokens: too few for 300 items beside the input"):
        build(models, "decoder-only", store, method="plug+bm25", items=ItemsConfig(k=300))
