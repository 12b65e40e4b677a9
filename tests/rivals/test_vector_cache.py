import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.rivals.vector_cache import VectorCache


def encode(texts):
    return torch.tensor([[float(len(text)), float(sum(map(ord, text)))] for text in texts]).reshape(-1, 2)


@given(st.lists(st.lists(st.sampled_from(["a", "bb", "cd", "", "e"]), max_size=6), max_size=6), st.integers(0, 5))
def test_vectors_are_the_encoders_own_whatever_is_kept(batches, capacity):
    cache = VectorCache(encode, capacity=capacity)
    for batch in batches:
        assert torch.equal(cache(batch), encode(batch))


def test_a_kept_text_is_not_encoded_again():
    asked = []
    cache = VectorCache(lambda texts: asked.extend(texts) or encode(texts), capacity=2)
    for batch in (["a", "a"], ["a", "b"], ["c"], ["b", "c"], ["a"]):
        cache(batch)
    assert asked == ["a", "b", "c", "a"]
