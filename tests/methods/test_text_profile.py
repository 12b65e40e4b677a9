"""What the language model writes about a user, when, and where it stands."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.loading import BackboneConfig, load_backbone
from personaplug.errors import ConfigError
from personaplug.evaluation.harness import LikelihoodMethod
from personaplug.methods.input_prompt import InputPrompt
from personaplug.methods.profiles import PROFILE_TOKENS, with_profiles
from personaplug.methods.prompted import Prompted
from personaplug.methods.text_profile import ProfilePrompt, TextProfiles
from personaplug.records import Profile
from personaplug.tasks.task import Retrieval
from tests.factories import make_item
from tests.rivals.user_lora.users import COUNTS, ask
from tests.world import TASK

SHORT = GenerationConfig(max_new_tokens=8)
INPUT_TOKENS = 100


@pytest.fixture
def method(models, family, tmp_path):
    return make_method(models[family], tmp_path / "profiles")


def make_method(model, folder, *, task=TASK, k=2):
    source = BackboneConfig(model)
    plain = Prompted(
        "text-profile",
        load_backbone(source),
        writer=InputPrompt(task, str, INPUT_TOKENS),
        generation=SHORT,
    )
    return with_profiles(plain, task, folder=folder, source=source, k=k, item_tokens=30)


def request(method, example):
    """Write what the language model is asked to describe an example's user by."""
    profiles = method.writer.profiles
    (prompt,) = profiles.author.writer.write(profiles.requests([example]))
    return prompt


def everyone():
    return [ask(user) for user in COUNTS]


def counting(method, monkeypatch):
    """Count the descriptions that the language model is asked for."""
    asked = []
    respond = Prompted.respond

    def counted(self, examples):
        if self is method.writer.profiles.author:
            asked.extend(examples)
        return respond(self, examples)

    monkeypatch.setattr(Prompted, "respond", counted)
    return asked


def test_who_has_been_described_is_found_without_writing_the_request_anew(method):
    first = method.respond(everyone())
    writes = []
    profiles = method.writer.profiles
    author = profiles.author.with_writer(SimpleNamespace(reads=writes.append), name="author")
    writer = replace(method.writer, profiles=replace(profiles, author=author))
    assert method.with_writer(writer, name=method.name).respond(everyone()) == first
    assert writes == []


def test_a_user_is_described_once_whatever_is_asked(method, models, family, monkeypatch, tmp_path):
    asked = counting(method, monkeypatch)
    first = method.respond(everyone())
    assert [example.profile.user_id for example in asked] == [user for user, count in COUNTS.items() if count]
    method.log_likelihood(everyone())
    method.respond([ask("ada", number=1), ask("ada", number=2)])
    assert len(asked) == 3
    again = make_method(models[family], tmp_path / "profiles")
    asked_again = counting(again, monkeypatch)
    assert again.respond(everyone()) == first
    assert asked_again == []


def test_a_description_is_asked_for_behind_the_items_wherever_the_task_puts_them(models, family, tmp_path):
    task = replace(TASK, retrieval=Retrieval(item="<{input}>", after="Above is"))
    assert request(make_method(models[family], tmp_path / "profiles", task=task), ask("ada")).startswith("<")


def test_a_description_is_written_from_whole_items_where_the_task_shares_a_prompts_room(models, tmp_path):
    task = replace(TASK, retrieval=Retrieval(item="<{input}>", input_share=0.6))
    method = make_method(models["decoder-only"], tmp_path / "profiles", task=task)
    prompt = request(method, ask("ada"))
    assert prompt.startswith(task.item_text(ask("ada").profile.items[-1]))
    assert prompt.rstrip().endswith("habits.")


def test_another_history_another_model_or_decoding_is_another_description(method, monkeypatch):
    method.respond([ask("ada")])
    asked = counting(method, monkeypatch)
    grown = Profile("ada", (*ask("ada").profile.items, make_item(30, "new", "new")))
    method.respond([replace(ask("ada"), profile=grown)])
    assert len(asked) == 1
    other = replace(method.writer.profiles, author_id="another model")
    assert other._path(ask("ada")) != method.writer.profiles._path(ask("ada"))


def test_two_users_of_one_history_have_a_description_each_which_can_be_deleted(method, tmp_path):
    items = ask("ada").profile.items
    method.respond([replace(ask("ada"), profile=Profile(user, items)) for user in ("ada", "ben")])
    assert len(list((tmp_path / "profiles").iterdir())) == 2


def test_the_description_is_of_the_users_latest_items_and_ends_with_the_request(method):
    prompt = request(method, ask("cyd"))
    assert TASK.description in prompt
    assert prompt.index(TASK.item_text(ask("cyd").profile.items[-1])[:20]) == 0
    assert prompt.rstrip().endswith("habits.")
    assert prompt.count("cyd") == 2
    embedded = method.writer.profiles.author.backbone.count_tokens(prompt)
    assert embedded <= method.writer.profiles.author.writer.max_tokens


def test_a_long_history_never_cuts_the_request(method):
    endless = Profile("ada", tuple(make_item(day, "word " * 400, "word " * 400) for day in range(3)))
    prompt = request(method, replace(ask("ada"), profile=endless))
    assert prompt.rstrip().endswith("habits.")
    assert (
        method.writer.profiles.author.backbone.count_tokens(prompt) <= method.writer.profiles.author.writer.max_tokens
    )


def test_without_history_the_prompt_is_the_plain_one_and_nothing_is_written(method, tmp_path):
    assert method.writer.write([ask("nobody")]) == [TASK.prompt_text(ask("nobody").input)]
    method.respond([ask("nobody")])
    assert not (tmp_path / "profiles").exists()


@pytest.mark.parametrize("profile", ["", "short", "long " * 200, "語" * 500])
@pytest.mark.parametrize("words", ["a question", "very " * 100 + "long"])
def test_the_input_keeps_all_the_room_it_has_without_a_description(method, profile, words, tmp_path):
    class Told(TextProfiles):
        def write(self, examples):
            pass

        def read(self, example):  # noqa: ARG002 (the signature)
            return profile

    told = Told(method.writer.profiles.author, "", "x", 2, tmp_path)
    example, backbone = replace(ask("ada"), input=words), method.backbone
    writer = replace(method.writer, profiles=told)
    (prompt,), plain = writer.write([example]), backbone.cut(TASK.prompt_text(words), max_tokens=INPUT_TOKENS)
    assert isinstance(writer, ProfilePrompt)
    assert prompt.endswith(plain)
    assert (prompt == plain) == (not profile)
    assert len(prompt) - len(plain) <= PROFILE_TOKENS
    (bare,) = backbone.embed([plain], max_tokens=INPUT_TOKENS).rows
    (read,) = backbone.embed([prompt], max_tokens=method.writer.max_tokens).rows
    assert torch.equal(bare, backbone.embed([TASK.prompt_text(words)], max_tokens=INPUT_TOKENS).rows[0])
    lead = backbone.embed([plain]).lead
    shown = bare[lead : len(bare) - 1]
    assert any((read[at : at + len(shown)] == shown).all() for at in range(len(read) - len(shown) + 1))


def test_the_description_stands_in_the_prompt_that_is_answered(method):
    method.respond([ask("ada")])
    written = method.writer.profiles.read(ask("ada"))
    assert written
    (prompt,) = method.writer.write([ask("ada")])
    assert prompt != TASK.prompt_text(ask("ada").input)
    assert written[:9] in prompt


def test_a_mixed_batch_is_answered_as_one_by_one(method):
    assert isinstance(method, LikelihoodMethod)
    assert method.respond(everyone()) == [method.respond([example])[0] for example in everyone()]
    alone = [float(method.log_likelihood([example])[0]) for example in everyone()]
    np.testing.assert_allclose(method.log_likelihood(everyone()), alone, atol=1e-3)


def test_more_items_than_the_language_model_has_room_for_are_refused(models, tmp_path):
    with pytest.raises(ConfigError, match="too few for 900 items"):
        make_method(models["decoder-only"], tmp_path, k=900)


def test_an_interrupted_description_is_written_anew(method, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", die)
        with pytest.raises(KeyboardInterrupt):
            method.respond([ask("ada")])
    assert method.respond([ask("ada")])
    assert method.writer.profiles.read(ask("ada"))
