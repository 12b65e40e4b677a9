import pytest

from personaplug.errors import StoreError, StudioError
from personaplug.studio.page_state import play
from personaplug.studio.session import Session
from tests.studio.conftest import QUESTION


def test_who_typed_before_choosing_is_answered_at_once(session):
    session.choose("ada", QUESTION)
    assert session.answered.text == QUESTION
    session.choose("cyd")
    assert session.answered is None
    session.paste("a | b", QUESTION)
    assert len(session.answered.memories) == 1


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (lambda session: session.ask(QUESTION), "Choose a user or paste a history first"),
        (lambda session: session.append("", "b"), "Choose a user or paste a history first"),
        (lambda session: session.forget(), "Choose a user or paste a history first"),
        (lambda session: session.choose("nobody"), "There is no user"),
        (lambda session: session.paste("nonsense"), "Line 1 is not like"),
    ],
)
def test_nothing_happens_before_someone_is_chosen(session, step, sentence):
    with pytest.raises(StudioError, match=sentence):
        step(session)
    assert (session.persona, session.answered) == (None, None)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (lambda session: session.ask("  \n"), "Type an input first"),
        (lambda session: session.ask("\ud83d"), "a broken character"),
        (lambda session: session.append("a", " "), "A memory needs an output"),
        (lambda session: session.append("a", "b", "soon"), "“soon” is no date"),
        (lambda session: session.append("a\0", "b"), "a broken character"),
        (lambda session: session.append("a", "b", "2999-01-01"), "2999-01-01 is still to come"),
        (lambda session: session.choose("nobody", QUESTION), "There is no user"),
        (lambda session: session.choose("cyd", "\0"), "a broken character"),
        (lambda session: session.paste("nonsense", QUESTION), "Line 1 is not like"),
        (lambda session: session.paste("a | b", "\0"), "a broken character"),
    ],
)
def test_a_step_that_fails_leaves_the_visit_and_the_user_as_they_were(session, store, step, sentence):
    session.choose("ada")
    before = session.persona, session.answered, store.version
    with pytest.raises(StudioError, match=sentence):
        step(session)
    assert (session.persona, session.answered, store.version) == before
    assert session.persona.summary().items == 1


def test_an_appended_memory_is_marked_and_the_answer_before_it_is_kept(session):
    session.choose("ada", QUESTION)
    first = session.answered
    session.append("a talk about x", "something else entirely", "2024-05-01")
    assert session.before == first
    assert session.answered.text == QUESTION
    (new,) = [memory for memory in session.answered.memories if memory.item.id == session.newest]
    assert f"{new.item.time:%Y-%m-%d}" == "2024-05-01"
    session.ask(QUESTION)
    assert (session.before, session.newest) == (None, None)


def test_a_memory_can_be_appended_before_anything_is_asked(session):
    session.choose("ada")
    session.append("", "yes")
    assert session.answered is None
    assert session.persona.summary().items == 2


def test_the_same_memory_twice_is_two_memories(session):
    session.choose("ada")
    session.append("a", "b")
    session.append("a", "b")
    assert session.persona.summary().items == 3


def test_after_forgetting_nobody_is_chosen_and_the_count_is_said(session, store):
    session.choose("cyd", QUESTION)
    session.forget()
    assert (session.persona, session.answered, session.newest) == (None, None, None)
    assert session.said == "Forgot cyd: 7 memories; no byte is left in personas.db."
    assert "cyd" not in store.users()


def test_whoever_is_looked_at_next_ends_what_was_pasted(session):
    for leave in (lambda: session.choose("ada"), lambda: session.paste("c | d"), session.close, session.forget):
        session.paste("a | b")
        pasted = session.persona
        leave()
        with pytest.raises(StoreError):
            pasted.summary()


def test_a_user_whom_another_visitor_forgot_is_a_sentence(studio, session):
    session.choose("ada", QUESTION)
    other = Session(studio)
    other.choose("ada")
    other.forget()
    state = play(lambda session: session.ask(QUESTION), session)
    assert state.is_refused
    assert "there is nothing of user" in state.notice
    assert not state.has_persona
    assert not play(lambda session: session.choose("cyd"), session).is_refused


def test_a_user_whom_another_visitor_forgot_is_noticed_by_a_step_that_asks_nothing(studio, session):
    session.choose("ada")
    studio.store.forget("ada")
    state = play(Session.suggest, session)
    assert (state.is_refused, state.has_persona) == (True, False)
