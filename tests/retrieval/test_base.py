import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from personaplug.retrieval.base import best_first


@given(st.lists(st.sampled_from([-1.5, 0.0, 0.5, 2.0])))
def test_best_first_agrees_with_sorting_pairs_of_score_and_index(scores):
    pairs = sorted(((score, index) for index, score in enumerate(scores)), reverse=True)
    assert best_first(np.array(scores)) == [index for _, index in pairs]
