from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch

from personaplug.embedder.history import HistoryBatch
from personaplug.plug.batch import Batcher
from personaplug.plug.prompts import Prompts
from personaplug.plug.queries import QueryVectors
from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.retrieval.recency import RecencyRetriever
from tests import tiny
from tests.world import NOW, TASK, USERS


@pytest.fixture(scope="module")
def batcher(store):
    return Batcher(TASK, store, query_vectors=None)


def test_a_batch_holds_each_examples_prompt_query_target_and_history(batcher, examples):
    batch = batcher(examples)
    assert batch.prompts[0] == "Say: your own view about z"
    assert batch.queries[0] == "z"
    assert batch.targets == ("no", "yes", "no", "yes", "no")
    assert len(batch) == len(examples)
    assert batch.history.mask.sum(dim=1).tolist() == [min(count, 20) for count in USERS.values()]


def test_only_the_latest_items_that_the_task_allows_are_seen_in_their_order(batcher, examples, store):
    dee = examples[-1]
    history = batcher.history(dee)
    latest = replace(dee.profile, items=dee.profile.items[-20:])
    assert batcher.seen(dee) == latest
    assert np.array_equal(history.vectors.numpy(), store.vectors(latest).astype(np.float32))


def test_ages_are_days_before_the_question(batcher, examples):
    ages = batcher.history(examples[-1]).ages
    assert ages.tolist() == [100.0 - day for day in range(10, 30)]


def test_an_item_from_after_the_question_has_no_age_below_zero(batcher, examples):
    early = replace(examples[-1], time=NOW - timedelta(days=90))
    ages = batcher.history(early).ages
    assert ages.min() == 0.0


def test_a_question_without_a_known_answer_has_no_target(batcher, examples):
    assert batcher([replace(examples[0], target=None)]).targets == ()


def test_a_batch_without_a_source_has_empty_histories(examples):
    batch = Batcher(TASK, None, query_vectors=None)(examples)
    assert batch.history.is_empty.all()
    assert len(batch) == len(examples)


def test_retrieved_items_stand_before_the_input_and_the_query_stays_bare(store, examples):
    prompts = Prompts(TASK, 256, RetrievalPrompt(TASK, RecencyRetriever(), 1, 99, len, str, 256))
    batch = Batcher(TASK, store, query_vectors=None, prompts=prompts)(examples[:2])
    assert batch.prompts[0] == "Say: your own view about z"
    assert batch.prompts[1] == "a talk about x 0 -> yes\nSay: your own view about z"
    assert batch.queries == ("z", "z")


def test_query_vectors_are_asked_for_the_queries_and_moved_with_the_batch(store, examples):
    queries = QueryVectors(tiny.text_encoder(), store)
    batch = Batcher(TASK, store, query_vectors=queries)(examples)
    assert torch.equal(batch.query_vectors, queries([TASK.query_text(example.input) for example in examples]))
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.query_vectors, batch.query_vectors)
    assert isinstance(moved.history, HistoryBatch)
