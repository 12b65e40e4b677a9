"""Retrievers over a task's words and a store's vectors."""

from dataclasses import replace

import pytest
import torch

from personaplug.plug.retrievers import by_product, by_words
from personaplug.tasks.task import Retrieval
from tests import tiny
from tests.factories import make_item, make_items
from tests.world import TASK

PRODUCT = replace(TASK, retrieval=Retrieval(text="{output} {input}", similarity="product", keep_case=True))
ITEMS = [make_item(day, "word " * day, f"answer {day}") for day in range(9)]


def states(encoder, text):
    """Pool by hand, without scaling: the mean over the states of a text's tokens."""
    tokens = encoder.tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        return encoder.model(**tokens).last_hidden_state[0].mean(dim=0)


def test_dense_ranks_by_the_plain_product_of_what_is_pooled_where_the_task_says_so():
    encoder = tiny.text_encoder()
    query = states(encoder, "words")
    products = [float(query @ states(encoder, f"{item.output} {item.input}")) for item in ITEMS]
    order = sorted(range(9), key=lambda at: -products[at])
    retriever = by_product(PRODUCT, encoder)
    assert retriever.rank("words", ITEMS) == order
    lengths = [float(states(encoder, f"{item.output} {item.input}").norm()) for item in ITEMS]
    by_cosine = sorted(range(9), key=lambda at: -products[at] / lengths[at])
    assert order != by_cosine  # the lengths decide here


def test_the_encoder_that_ranks_by_products_still_gives_unit_vectors_itself_and_shares_its_weights():
    encoder = tiny.text_encoder()
    before, pooled = encoder.encode(["tea"]), encoder.as_pooled()
    torch.testing.assert_close(pooled.encode(["tea"])[0], states(encoder, "tea"), atol=1e-5, rtol=1e-4)
    assert torch.equal(encoder.encode(["tea"]), before)
    assert before.norm() == pytest.approx(1.0)
    assert pooled.model is encoder.model
    assert pooled.fingerprint != encoder.fingerprint
    assert pooled.config.as_in(pooled.fingerprint) == encoder.config.as_in(encoder.fingerprint)


def test_an_item_is_encoded_once(monkeypatch):
    encoder = tiny.text_encoder()
    retriever = by_product(PRODUCT, encoder)
    first = retriever.rank("words", ITEMS)
    monkeypatch.setattr(encoder.model, "forward", None)
    assert retriever.rank("words", ITEMS) == first


def test_word_search_keeps_the_case_where_the_task_does():
    items = make_items("Tea", "tea", "rain", "snow", "wind")
    assert by_words(PRODUCT).rank("Tea", items)[0] == 0
    assert by_words(replace(TASK, retrieval=Retrieval())).rank("Tea", items)[0] == 1
