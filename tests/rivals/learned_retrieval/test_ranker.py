import math

import pytest
import torch

from personaplug.rivals.learned_retrieval.ranker import ItemRanker, RankerConfig
from tests import tiny

QUERIES, OPTIONS = ["tea", "rain"], [["green tea", "black tea", "coffee"], ["a storm"]]


@pytest.mark.parametrize("item_encoder", ["trained", "frozen"])
def test_an_untrained_ranker_compares_by_the_encoders_cosines_over_the_temperature(item_encoder):
    encoder = tiny.text_encoder()
    logits = ItemRanker(encoder, RankerConfig(temperature=0.2, item_encoder=item_encoder)).logits(QUERIES, OPTIONS)
    for row, (query, items) in enumerate(zip(QUERIES, OPTIONS, strict=True)):
        cosines = encoder.encode(items) @ encoder.encode([query])[0]
        torch.testing.assert_close(logits[row, : len(items)].detach(), cosines / 0.2, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("item_encoder", ["trained", "frozen"])
def test_a_ranker_may_compare_by_the_plain_product_of_what_is_pooled(item_encoder):
    encoder = tiny.text_encoder()
    config = RankerConfig(temperature=1.0, item_encoder=item_encoder, similarity="product")
    ranker = ItemRanker(encoder, config)
    pooled = encoder.as_pooled()
    products = pooled.encode(OPTIONS[0]) @ pooled.encode(QUERIES)[0]
    torch.testing.assert_close(ranker.logits(QUERIES, OPTIONS)[0].detach(), products, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(pooled.encode(QUERIES).norm(dim=1), torch.ones(2), atol=0.1)
    torch.testing.assert_close(ranker.encode_items(OPTIONS[0]), pooled.encode(OPTIONS[0]))


def test_where_a_query_has_fewer_items_nothing_can_be_chosen():
    logits = ItemRanker(tiny.text_encoder(), RankerConfig()).logits(QUERIES, OPTIONS)
    assert logits[1, 1:].tolist() == [-math.inf, -math.inf]


def test_a_ranker_trains_a_copy_and_frozen_items_take_no_part():
    encoder = tiny.text_encoder()
    for item_encoder in ("trained", "frozen"):
        ranker = ItemRanker(encoder, RankerConfig(item_encoder=item_encoder))
        assert not {id(weight) for weight in ranker.parameters()} & {id(weight) for weight in encoder.parameters()}
        before = ranker.encode_items(["green tea"])
        with torch.no_grad():
            next(ranker.encoder.model.parameters()).add_(1.0)
        assert torch.equal(ranker.encode_items(["green tea"]), before) == (item_encoder == "frozen")
