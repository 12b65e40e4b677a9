"""What a run of learned retrieval leaves in its folder."""

from dataclasses import replace

import pytest

from personaplug.errors import ConfigError
from personaplug.rivals.learned_retrieval import run_folder as retrieval_folder
from personaplug.rivals.learned_retrieval.fitting import Chosen
from personaplug.rivals.learned_retrieval.ranker import ItemRanker, RankerConfig
from personaplug.rivals.learned_retrieval.run import RetrievalConfig
from personaplug.rivals.learned_retrieval.run_folder import begin, check_folder, finish
from tests import tiny
from tests.world import TASK

RUN = RetrievalConfig()
CHOSEN = Chosen(steps=3, queries=5, seconds=1.0, dev_score=None, dev_untrained=None, dev_reference=None)


def write_answers(folder):
    """Begin a run, and keep an answer of the language model as its training does."""
    answers = begin(folder, RUN, task=TASK) / "answers.jsonl"
    answers.parent.mkdir()
    answers.write_text("what Ada wrote")
    return answers


@pytest.mark.parametrize("resume", [False, True])
def test_what_a_kill_after_the_weights_leaves_is_dropped_where_the_run_is_found_finished(resume, tmp_path, monkeypatch):
    answers = write_answers(tmp_path)
    chooser = ItemRanker(tiny.text_encoder(), RankerConfig())
    with monkeypatch.context() as patch:
        patch.setattr(retrieval_folder.shutil, "rmtree", lambda *_, **__: None)  # killed before it
        finish(tmp_path, RUN, task=TASK, chooser=chooser, chosen=CHOSEN, prompt="")
    assert answers.exists()
    with pytest.raises(ConfigError, match=str(tmp_path)):
        check_folder(tmp_path, resume=resume)
    assert not answers.parent.exists()


def test_an_interrupted_run_keeps_what_the_language_model_said(tmp_path):
    answers = write_answers(tmp_path)
    with pytest.raises(ConfigError, match="already holds a run"):
        check_folder(tmp_path, resume=False)
    check_folder(tmp_path, resume=True)
    assert answers.read_text() == "what Ada wrote"


@pytest.mark.parametrize(
    ("method", "other"),
    [("ropg-rl", "the dense retriever alone"), ("rspg-pre", "the single retriever that is best there")],
)
def test_the_card_tells_the_start_from_what_is_no_chooser_at_all(method, other, tmp_path):
    chosen = replace(CHOSEN, dev_score=0.75, dev_untrained=0.25, dev_reference=0.5)
    finish(
        tmp_path, replace(RUN, method=method), task=TASK,
        chooser=ItemRanker(tiny.text_encoder(), RankerConfig()), chosen=chosen, prompt="how it was asked",
    )  # fmt: skip
    card = (tmp_path / "README.md").read_text()
    assert f"| mean score on dev | 0.7500; without training 0.2500; of {other} 0.5000 |" in card
    assert "how it was asked" in card
