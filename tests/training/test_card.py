from dataclasses import replace

import pytest

from personaplug.embedder.embedder_config import EmbedderConfig
from personaplug.plug.run import PRESETS
from personaplug.training.card import write_card
from personaplug.training.progress import Fitted
from tests.world import TASK

METHODS = {
    "plug": "12 for the user",
    "plug+bm25": "4, chosen by bm25",
    "tuned-prompt": "12, the same for every user",
}


def test_a_card_says_where_the_vectors_stand_and_how_many_are_the_users(tmp_path):
    embedder = EmbedderConfig(instructions=8, made_of="outputs", output_tokens=3, place="after")
    run, fitted = replace(PRESETS["default"], embedder=embedder), Fitted(steps=1, dev_loss=None, seconds=1.0)
    write_card(tmp_path, run, task=TASK, fitted=fitted, queries=1, prompt="how it was asked")
    assert "| vectors after the input | 8 for the task, 4 for the user |" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(("method", "vectors"), METHODS.items())
def test_a_card_says_what_the_run_is_made_of_and_how_good_it_is(method, vectors, tmp_path):
    run = replace(PRESETS["default"], method=method)
    write_card(
        tmp_path,
        run,
        task=TASK,
        fitted=Fitted(steps=1200, dev_loss=0.61234, seconds=5.0),
        queries=11_754,
        prompt="how it was asked",
    )
    card = (tmp_path / "README.md").read_text()
    for words in (
        method,
        TASK.name,
        TASK.description,
        "smollm2",
        "minilm",
        vectors,
        "11,754",
        "1,200",
        "0.6123 nats",
        "how it was asked",
    ):
        assert words in card


def test_a_card_of_a_run_without_dev_queries_says_so(tmp_path):
    write_card(
        tmp_path,
        PRESETS["default"],
        task=TASK,
        fitted=Fitted(steps=1, dev_loss=None, seconds=1.0),
        queries=1,
        prompt="",
    )
    assert "no dev queries" in (tmp_path / "README.md").read_text()
