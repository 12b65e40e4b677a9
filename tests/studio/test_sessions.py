import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from personaplug.errors import ConfigError, StoreError
from personaplug.studio.sessions import Sessions


def test_visitors_of_any_thread_are_served_by_the_one_that_opened_the_store(opening):
    with Sessions(opening) as sessions, ThreadPoolExecutor(8) as threads:
        users = ["ada", "ben", "cyd", "dee"] * 4
        steps = [threads.submit(choose, sessions, f"{at}", user) for at, user in enumerate(users)]
        assert [step.result() for step in steps] == users


def test_visits_are_apart(opening):
    with Sessions(opening) as sessions:
        choose(sessions, "first", "ada")
        choose(sessions, "second", "ben")
        assert sessions.at("first", lambda session: session.persona.user) == "ada"
        assert sessions.at("third", lambda session: session.persona) is None


def test_what_was_pasted_is_gone_when_its_visitor_leaves_or_is_the_oldest_of_too_many(opening):
    with Sessions(opening, capacity=2) as sessions:
        first, second = (sessions.at(name, paste) for name in ("first", "second"))
        sessions.leave("first")
        sessions.leave("never came")
        assert is_gone(sessions, first)
        assert not is_gone(sessions, second)
        for name in ("third", "fourth"):
            sessions.at(name, paste)
        assert is_gone(sessions, second)


def test_closing_ends_every_visit_and_the_thread(opening):
    before = threading.active_count()
    with Sessions(opening) as sessions:
        pasted = sessions.at("someone", paste)
        closed = []
        sessions.at("someone", lambda session: setattr(session, "close", lambda: closed.append(pasted.close())))
    assert len(closed) == 1
    assert threading.active_count() == before


def test_a_studio_that_cannot_be_opened_is_an_error_and_leaves_no_thread():
    @contextmanager
    def refused():
        raise ConfigError("there is no such run")
        yield

    before = threading.active_count()
    with pytest.raises(ConfigError, match="no such run"), Sessions(refused()):
        pass
    assert threading.active_count() == before


def choose(sessions, visitor, user):
    return sessions.at(visitor, lambda session: session.choose(user) or session.persona.user)


def paste(session):
    session.paste("a | b")
    return session.persona


def is_gone(sessions, persona):
    def look(_):
        try:
            persona.summary()
        except StoreError:
            return True
        return False

    return sessions.ask(look)
