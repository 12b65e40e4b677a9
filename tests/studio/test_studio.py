"""What the page is made of, without the page."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from personaplug.errors import ConfigError, FingerprintMismatchError, StoreError, StudioError, UnknownUserError
from personaplug.plug.model import build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import ItemsConfig
from personaplug.store.base import StoreLayout
from personaplug.store.persona_store import PersonaStore
from personaplug.studio import studio as room
from personaplug.studio.persona import Persona
from personaplug.studio.studio import Studio
from tests import tiny, world
from tests.factories import make_item
from tests.studio.conftest import QUESTION, SHORT

SECRET = "the-cat-is-called-Mnemosyne"
NOW = datetime(2024, 6, 1, tzinfo=UTC)


def as_lines(profile):
    return "\n".join(f"{item.time.isoformat()} | {item.input} | {item.output}" for item in profile.items)


def weights(answered):
    return [(memory.item.input, memory.item.output, round(memory.weight, 5)) for memory in answered.memories]


def files_of(store):
    return b"".join(path.read_bytes() for path in store.path.parent.iterdir() if path.is_file())


def test_answers_and_memories_are_the_plugs_own(studio):
    answered = studio.persona("cyd").ask(QUESTION)
    assert answered.with_persona == studio.plug.generate(QUESTION, user="cyd", config=SHORT)
    assert answered.without_persona == studio.plug.generate(QUESTION, user="cyd", config=SHORT, with_persona=False)
    assert answered.with_persona != answered.without_persona
    assert len(answered.memories) == world.USERS["cyd"]
    assert sum(memory.weight for memory in answered.memories) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("method", ["plug", "plug+dense"])
def test_a_history_answers_alike_from_a_store_and_pasted(models, encoder, store, method):
    run = replace(world.make_run(models, "decoder-only", method=method), items=ItemsConfig(k=2))
    plug = world.as_if_trained(build_plug(run, world.TASK, store=store, query_source=QuerySource.STORE))
    studio = Studio(plug, encoder, decoding=SHORT)
    stored = studio.persona("cyd").ask(QUESTION)
    pasted = studio.pasted(as_lines(store.get("cyd")), now=NOW).ask(QUESTION)
    assert pasted.with_persona == stored.with_persona
    assert weights(pasted) == weights(stored)


def test_a_pasted_history_never_reaches_the_store(studio, store):
    before = store.version, list(store.users())
    persona = studio.pasted(f"{SECRET} | yes", now=NOW)
    persona.ask(SECRET)
    persona.append([make_item(0, SECRET, "no")])
    assert persona.summary().items == 2
    assert (store.version, list(store.users())) == before
    assert SECRET.encode() not in files_of(store)


def test_a_pasted_history_is_gone_once_it_is_forgotten_or_left(studio):
    for leave in (Persona.forget, Persona.close):
        persona = studio.pasted("a | b", now=NOW)
        leave(persona)
        with pytest.raises(StoreError):
            persona.ask(QUESTION)


def test_a_store_in_memory_has_no_file(encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with PersonaStore.in_memory(StoreLayout(encoder.fingerprint, world.TASK.views, encoder.dim)) as store:
        assert store.count() == 0
        assert list(tmp_path.iterdir()) == []


def test_a_user_stays_when_a_visitor_leaves(studio, store):
    studio.persona("ada").close()
    assert store.get("ada").items


def test_an_appended_memory_weighs_in_the_next_answer(studio):
    persona = studio.persona("ada")
    before = persona.ask(QUESTION)
    assert persona.append([make_item(50, QUESTION, "something else entirely")]) == 1
    after = persona.ask(QUESTION)
    assert [memory.item.output for memory in after.memories if memory.weight > 0.1].count("something else entirely")
    assert len(after.memories) == len(before.memories) + 1
    assert after.with_persona != before.with_persona
    assert after.without_persona == before.without_persona


def test_a_forgotten_user_leaves_no_byte_and_is_a_stranger(studio, store):
    persona = studio.persona("ada")
    persona.append([make_item(50, SECRET, SECRET)])
    assert SECRET.encode() in files_of(store)
    assert persona.forget() == 2
    assert SECRET.encode() not in files_of(store)
    assert "ada" not in studio.users()
    for late in (lambda: studio.persona("ada"), lambda: persona.ask(QUESTION), persona.forget):
        with pytest.raises((StudioError, UnknownUserError)):
            late()


def test_a_user_that_is_not_there_is_a_sentence(studio):
    with pytest.raises(StudioError, match=r"There is no user “nobody” in personas\.db\."):
        studio.persona("nobody")
    with pytest.raises(StudioError, match="a broken character"):
        studio.persona("\ud83d")


def test_no_more_users_are_listed_than_a_page_can_hold(studio, monkeypatch):
    assert studio.users() == ["ada", "ben", "cyd", "dee"]
    monkeypatch.setattr(room, "LISTED", 2)
    assert studio.users() == ["ada", "ben"]


def test_a_suggestion_is_the_input_of_another_user(studio, store):
    asked = {user: studio.suggest(studio.persona(user)) for user in store.users()}
    assert asked["ada"] == store.get("ben").items[-1].input
    assert asked["dee"] == store.get("ada").items[-1].input
    assert studio.suggest(None) == store.get("ada").items[-1].input
    store.forget("ben", "cyd", "dee")
    with pytest.raises(StudioError, match="type one"):
        studio.suggest(studio.persona("ada"))


def test_a_tuned_prompt_has_no_studio(models, encoder, store):
    run = world.make_run(models, "decoder-only", method="tuned-prompt")
    with pytest.raises(ConfigError, match="no persona to show"):
        Studio(build_plug(run, world.TASK, store=store, query_source=QuerySource.STORE), encoder)


def test_a_plug_is_not_put_over_vectors_of_another_encoder(plug, store):
    with pytest.raises(FingerprintMismatchError):
        plug.over(store, tiny.text_encoder(seed=1))
