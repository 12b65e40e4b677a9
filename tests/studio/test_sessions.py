import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from personaplug.errors import ConfigError, StoreError
from personaplug.studio.sessions import Desk


def test_visitors_of_any_thread_are_served_by_the_one_that_opened_the_store(opening):
    with Desk(opening) as desk, ThreadPoolExecutor(8) as threads:
        users = ["ada", "ben", "cyd", "dee"] * 4
        steps = [threads.submit(choose, desk, f"{at}", user) for at, user in enumerate(users)]
        assert [step.result() for step in steps] == users


def test_visits_are_apart(opening):
    with Desk(opening) as desk:
        choose(desk, "first", "ada")
        choose(desk, "second", "ben")
        assert desk.at("first", lambda visit: visit.persona.user) == "ada"
        assert desk.at("third", lambda visit: visit.persona) is None


def test_what_was_pasted_is_gone_when_its_visitor_leaves_or_is_the_oldest_of_too_many(opening):
    with Desk(opening, capacity=2) as desk:
        first, second = (desk.at(name, paste) for name in ("first", "second"))
        desk.leave("first")
        desk.leave("never came")
        assert is_gone(desk, first)
        assert not is_gone(desk, second)
        for name in ("third", "fourth"):
            desk.at(name, paste)
        assert is_gone(desk, second)


def test_closing_ends_every_visit_and_the_thread(opening):
    before = threading.active_count()
    with Desk(opening) as desk:
        pasted = desk.at("someone", paste)
        closed = []
        desk.at("someone", lambda visit: setattr(visit, "close", lambda: closed.append(pasted.close())))
    assert len(closed) == 1
    assert threading.active_count() == before


def test_a_studio_that_cannot_be_opened_is_an_error_and_leaves_no_thread():
    @contextmanager
    def refused():
        raise ConfigError("there is no such run")
        yield

    before = threading.active_count()
    with pytest.raises(ConfigError, match="no such run"), Desk(refused()):
        pass
    assert threading.active_count() == before


def choose(desk, visitor, user):
    return desk.at(visitor, lambda visit: visit.choose(user) or visit.persona.user)


def paste(visit):
    visit.paste("a | b")
    return visit.persona


def is_gone(desk, persona):
    def look(_):
        try:
            persona.summary()
        except StoreError:
            return True
        return False

    return desk.ask(look)
