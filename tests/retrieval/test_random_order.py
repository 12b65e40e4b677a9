import os
import subprocess
import sys
from pathlib import Path

from personaplug.retrieval.random_order import RandomRetriever
from tests.factories import make_items

ITEMS = make_items(*"abcdef")


def test_items_keep_their_places_relative_to_each_other_when_others_leave():
    ranked = [ITEMS[index] for index in RandomRetriever().rank("query", ITEMS)]
    fewer = ITEMS[:2] + ITEMS[4:]
    assert [fewer[index] for index in RandomRetriever().rank("query", fewer)] == [i for i in ranked if i in fewer]


def test_queries_seeds_and_users_draw_different_orders():
    orders = [
        RandomRetriever().rank("query", ITEMS),
        RandomRetriever().rank("another", ITEMS),
        RandomRetriever(seed=1).rank("query", ITEMS),
        RandomRetriever().rank("query", make_items(*"ghijkl")),
    ]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_every_item_comes_first_about_equally_often():
    firsts = [RandomRetriever().rank(f"query {number}", ITEMS)[0] for number in range(1200)]
    assert all(150 < firsts.count(index) < 250 for index in range(6))  # 200 expected, standard deviation 13


def test_another_process_draws_the_same_order():
    program = "\n".join(
        [
            "from personaplug.retrieval.random_order import RandomRetriever",
            "from tests.factories import make_items",
            "print(RandomRetriever().rank('query', make_items(*'abcdef')))",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert done.stdout.strip() == str(RandomRetriever().rank("query", ITEMS))
