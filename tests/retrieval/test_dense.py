import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from personaplug.retrieval.dense import DenseRetriever, nearest
from tests.factories import make_items

KEYS = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]])


def test_the_order_is_that_of_the_products_by_hand():
    # 1 * .8 + 0 * .6 = .8;  .6 * .8 + .8 * .6 = .96;  .6;  -.8
    assert nearest(np.array([0.8, 0.6]), KEYS) == [1, 0, 2, 3]


def test_half_precision_keys_are_compared_in_single_precision():
    keys = np.array([[1.0, 0.0002], [1.0, 0.0]], dtype=np.float16)  # 1.0002 rounds to 1 in float16
    assert nearest(np.array([1.0, 1.0], dtype=np.float16), keys) == [0, 1]


@given(seed=st.integers(0, 2**16), count=st.integers(1, 70), dim=st.integers(1, 48))
def test_a_key_ranks_the_same_wherever_its_copies_stand(seed, count, dim):
    random = np.random.default_rng(seed)
    key, query = random.normal(size=(2, dim)).astype(np.float32)
    assert nearest(query, np.tile(key, (count, 1))) == list(reversed(range(count)))


def test_the_query_is_encoded_and_the_items_are_looked_up():
    items = make_items("north-east", "north", "west")
    vectors = {"north-east": [0.7, 0.7], "north": [0.0, 1.0], "west": [-1.0, 0.0]}
    encoded = []

    def encode(texts):
        encoded.extend(texts)
        return np.array([[0.0, 1.0]])

    retriever = DenseRetriever(encode, lambda items: np.array([vectors[item.input] for item in items]))
    assert retriever.rank("where?", items) == [1, 0, 2]
    assert encoded == ["where?"]
