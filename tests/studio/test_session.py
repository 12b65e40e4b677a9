import pytest

from personaplug.errors import StoreError, StudioError
from personaplug.studio.page_state import play
from personaplug.studio.session import Visit
from tests.studio.conftest import QUESTION


def test_who_typed_before_choosing_is_answered_at_once(visit):
    visit.choose("ada", QUESTION)
    assert visit.answered.text == QUESTION
    visit.choose("cyd")
    assert visit.answered is None
    visit.paste("a | b", QUESTION)
    assert len(visit.answered.memories) == 1


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (lambda visit: visit.ask(QUESTION), "Choose a user or paste a history first"),
        (lambda visit: visit.append("", "b"), "Choose a user or paste a history first"),
        (lambda visit: visit.forget(), "Choose a user or paste a history first"),
        (lambda visit: visit.choose("nobody"), "There is no user"),
        (lambda visit: visit.paste("nonsense"), "Line 1 is not like"),
    ],
)
def test_nothing_happens_before_someone_is_chosen(visit, step, sentence):
    with pytest.raises(StudioError, match=sentence):
        step(visit)
    assert (visit.persona, visit.answered) == (None, None)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (lambda visit: visit.ask("  \n"), "Type an input first"),
        (lambda visit: visit.ask("\ud83d"), "a broken character"),
        (lambda visit: visit.append("a", " "), "A memory needs an output"),
        (lambda visit: visit.append("a", "b", "soon"), "“soon” is no date"),
        (lambda visit: visit.append("a\0", "b"), "a broken character"),
        (lambda visit: visit.append("a", "b", "2999-01-01"), "2999-01-01 is still to come"),
        (lambda visit: visit.choose("nobody", QUESTION), "There is no user"),
        (lambda visit: visit.choose("cyd", "\0"), "a broken character"),
        (lambda visit: visit.paste("nonsense", QUESTION), "Line 1 is not like"),
        (lambda visit: visit.paste("a | b", "\0"), "a broken character"),
    ],
)
def test_a_step_that_fails_leaves_the_visit_and_the_user_as_they_were(visit, store, step, sentence):
    visit.choose("ada")
    before = visit.persona, visit.answered, store.version
    with pytest.raises(StudioError, match=sentence):
        step(visit)
    assert (visit.persona, visit.answered, store.version) == before
    assert visit.persona.summary().items == 1


def test_an_appended_memory_is_marked_and_the_answer_before_it_is_kept(visit):
    visit.choose("ada", QUESTION)
    first = visit.answered
    visit.append("a talk about x", "something else entirely", "2024-05-01")
    assert visit.before == first
    assert visit.answered.text == QUESTION
    (new,) = [memory for memory in visit.answered.memories if memory.item.id == visit.newest]
    assert f"{new.item.time:%Y-%m-%d}" == "2024-05-01"
    visit.ask(QUESTION)
    assert (visit.before, visit.newest) == (None, None)


def test_a_memory_can_be_appended_before_anything_is_asked(visit):
    visit.choose("ada")
    visit.append("", "yes")
    assert visit.answered is None
    assert visit.persona.summary().items == 2


def test_the_same_memory_twice_is_two_memories(visit):
    visit.choose("ada")
    visit.append("a", "b")
    visit.append("a", "b")
    assert visit.persona.summary().items == 3


def test_after_forgetting_nobody_is_chosen_and_the_count_is_said(visit, store):
    visit.choose("cyd", QUESTION)
    visit.forget()
    assert (visit.persona, visit.answered, visit.newest) == (None, None, None)
    assert visit.said == "Forgot cyd: 7 memories; no byte is left in personas.db."
    assert "cyd" not in store.users()


def test_whoever_is_looked_at_next_ends_what_was_pasted(visit):
    for leave in (lambda: visit.choose("ada"), lambda: visit.paste("c | d"), visit.close, visit.forget):
        visit.paste("a | b")
        pasted = visit.persona
        leave()
        with pytest.raises(StoreError):
            pasted.summary()


def test_a_user_whom_another_visitor_forgot_is_a_sentence(studio, visit):
    visit.choose("ada", QUESTION)
    other = Visit(studio)
    other.choose("ada")
    other.forget()
    scene = play(lambda visit: visit.ask(QUESTION), visit)
    assert scene.is_refused
    assert "there is nothing of user" in scene.notice
    assert not scene.has_persona
    assert not play(lambda visit: visit.choose("cyd"), visit).is_refused


def test_a_user_whom_another_visitor_forgot_is_noticed_by_a_step_that_asks_nothing(studio, visit):
    visit.choose("ada")
    studio.store.forget("ada")
    scene = play(Visit.suggest, visit)
    assert (scene.is_refused, scene.has_persona) == (True, False)
