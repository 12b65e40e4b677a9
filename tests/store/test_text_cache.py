from hypothesis import given
from hypothesis import strategies as st

from personaplug.store.text_cache import TextCache


@given(st.lists(st.lists(st.sampled_from(["a", "bb", "cd", "", "\ud800"]), max_size=6), max_size=6), st.integers(0, 5))
def test_things_are_those_of_their_texts_whatever_is_kept(batches, capacity):
    cache = TextCache(lambda texts: [text * 2 for text in texts], capacity=capacity)
    for batch in batches:
        assert cache(batch) == [text * 2 for text in batch]


def test_a_kept_text_is_not_made_again_and_nothing_is_made_of_no_text():
    asked = []
    cache = TextCache(lambda texts: asked.append(texts) or texts, capacity=2)
    for batch in (["a", "a"], [], ["a", "b"], ["c"], ["b", "c"], ["a"]):
        cache(batch)
    assert asked == [["a"], ["b"], ["c"], ["a"]]
