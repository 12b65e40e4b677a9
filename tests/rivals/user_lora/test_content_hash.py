"""Which adapter on disk is the one that is wanted."""

from dataclasses import replace

import pytest
import torch

from personaplug.backbone.loading import BackboneConfig
from personaplug.rivals.user_lora.adapters import LoraConfig
from personaplug.rivals.user_lora.content_hash import AdapterContent
from personaplug.rivals.user_lora.run import UserLoraConfig, UserTrainingConfig
from tests.rivals.user_lora.users import TRAINING, ask, make_run, train

OF_TODAY = UserTrainingConfig(learning_rate=1e-3, epochs=2.0)
START = {"b": torch.tensor([1.0, -2.0]), "a": torch.tensor([[0.5]])}
CONTENT = AdapterContent(
    UserLoraConfig(
        backbone=BackboneConfig("some/model"),
        adapter=LoraConfig(rank=2),
        training=OF_TODAY,
    ),
    ("about x", "\u00fcber y"),
    ("yes", "no"),
    64,
    (START,),
)
PAPER = replace(CONTENT, config=replace(CONTENT.config, adapter=LoraConfig(rank=2, places="query-value", dropout=0.05)))
# Made by the code of before, which hashed the repr of the settings, class names included.
OF_BEFORE = "7d8dddf3ecb5225063e9185af4bba739d7b32609a6d449875c94743a85bf2d46"
YESTERDAYS = "5df2a86daacf4f34353e4ecce7296a5cd468d7aa252dc1abf25a6eb4f5d1cb74"
PAPER_OF_BEFORE = "121e50e24308935fba116f85ceb0e24ccf2d294186728b2a5bb15523b9e6ae81"


@pytest.mark.parametrize(("content", "hashed"), [(CONTENT, OF_BEFORE), (PAPER, PAPER_OF_BEFORE)])
def test_an_adapter_with_a_hash_of_before_is_known_again(content, hashed):
    assert content.is_of(hashed)
    assert content.is_of(content.hash)
    assert content.hash != hashed


def test_a_hash_does_not_say_what_there_was_no_word_for_and_is_as_it_was():
    assert CONTENT.hash == YESTERDAYS


@pytest.mark.parametrize(
    "other",
    [
        PAPER,
        replace(CONTENT, prompts=("about x", "about y")),
        replace(CONTENT, targets=("yes", "yes")),
        replace(CONTENT, max_input_tokens=65),
        replace(CONTENT, weights=(START, START)),
        replace(CONTENT, config=replace(CONTENT.config, backbone=BackboneConfig("other/model"))),
        replace(CONTENT, config=replace(CONTENT.config, training=UserTrainingConfig())),
        replace(CONTENT, config=replace(CONTENT.config, adapter=LoraConfig(rank=2, reads="answer"))),
        replace(CONTENT, config=replace(CONTENT.config, training=replace(OF_TODAY, precision="bfloat16"))),
    ],
)
def test_an_adapter_of_something_else_has_another_hash(other):
    assert not other.is_of(CONTENT.hash)
    assert not other.is_of(OF_BEFORE)


def test_the_hash_does_not_depend_on_what_classes_are_called():
    class Renamed(LoraConfig):
        pass

    config = replace(CONTENT.config, adapter=Renamed(rank=2))
    assert replace(CONTENT, config=config).hash == CONTENT.hash


def test_users_whose_adapters_have_hashes_of_before_are_not_trained_again(models, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", models["decoder-only"], training=replace(TRAINING, epochs=1.0))
    monkeypatch.setattr(AdapterContent, "hash", property(lambda self: self._hash(self._said_before())))
    before = train(run, [ask("ada")])
    monkeypatch.undo()
    assert train(run, [ask("ada")]) == before
    monkeypatch.setattr(AdapterContent, "is_of", lambda self, hashed: hashed == self.hash)
    assert train(run, [ask("ada")]) != before
