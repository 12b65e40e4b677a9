"""The page in a real browser, by keyboard, from the choice of a user to their end."""

import re
import shutil
import socket
import threading
from urllib.parse import urlsplit

import pytest

from personaplug.ports import listen
from personaplug.studio.server import build_app, server
from personaplug.studio.sessions import Sessions
from tests.studio.conftest import QUESTION
from tests.waiting import wait_until

CHROMIUM = shutil.which("chromium")
SECRET = "the cat is called Mnemosyne"


@pytest.fixture
def connected(monkeypatch):
    """Every address that this process connects to."""
    addresses, connect = [], socket.socket.connect
    monkeypatch.setattr(
        socket.socket, "connect", lambda self, address: addresses.append(address) or connect(self, address)
    )
    return addresses


@pytest.fixture
def sessions(opening):
    with Sessions(opening) as sessions:
        yield sessions


@pytest.fixture
def url(sessions):
    with listen("127.0.0.1", 0) as taken:
        running = server(build_app(sessions, host="127.0.0.1"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [taken]})
        thread.start()
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        running.should_exit = True
        thread.join()


@pytest.fixture
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here to open the page in")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.timeout(600)
def test_a_visitor_sees_a_persona_answer_grow_and_go(url, browser, sessions, path, connected, capfd, caplog):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("websocket", lambda websocket: requests.append(websocket.url))
    page.on("pageerror", lambda error: complaints.append(error))
    page.goto(url)

    asking_nobody_is_one_sentence(page)
    expected = sessions.ask(lambda studio: studio.persona("ada").ask(QUESTION))
    a_user_is_found_and_answers(page, expected)
    a_memory_more_and_the_answer_is_another(page, expected)
    forgetting_asks_once(page)
    assert sessions.ask(lambda studio: "ada" not in studio.users())
    a_pasted_history_is_another_persona(page)
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.close()
    wait_until(lambda: not sessions.visitors())

    assert SECRET.encode() not in b"".join(each.read_bytes() for each in path.parent.iterdir() if each.is_file())
    assert complaints == []
    assert {urlsplit(each).hostname for each in requests if not each.startswith(("data:", "blob:"))} == {"127.0.0.1"}
    assert {address[0] for address in connected if isinstance(address, tuple)} <= {"127.0.0.1", "::1"}
    written = "".join([*capfd.readouterr(), caplog.text])
    assert not [word for word in (SECRET, QUESTION) if word in written]


def asking_nobody_is_one_sentence(page):
    question = page.get_by_role("textbox", name=re.compile("^Input"))
    question.fill(QUESTION)
    question.press("Enter")
    page.get_by_role("alert").get_by_text("Choose a user or paste a history first.").wait_for()


def a_user_is_found_and_answers(page, expected):
    """What was typed before is answered at once."""
    user = page.get_by_role("combobox", name="User")
    user.press_sequentially("ad")
    user.press("Enter")
    page.get_by_text("With the persona of ada").wait_for()
    assert answers(page) == [expected.with_persona, expected.without_persona]
    row = rows(page).first.inner_text()
    assert rows(page).count() == 1
    assert "100.0%" in row
    assert "2020-01-01" in row


def a_memory_more_and_the_answer_is_another(page, expected):
    page.get_by_label("What this person read").fill(QUESTION)
    wrote = page.get_by_label("What they answered")
    wrote.fill(SECRET)
    wrote.press("Enter")
    page.get_by_text("Before the new memory:").wait_for()
    own, bare = answers(page)
    assert own != expected.with_persona
    assert bare == expected.without_persona
    assert rows(page).filter(has_text=SECRET).get_by_text("new", exact=True).is_visible()
    bars = rows(page).locator(".bar").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
    assert len(bars) == 2
    assert bars[0] > bars[1] > 0
    assert wrote.input_value() == ""


def forgetting_asks_once(page):
    """The way out of it is the first thing in reach."""
    page.get_by_role("button", name="Forget this user").press("Enter")
    page.get_by_text("Forget ada for good?").wait_for()
    page.wait_for_function("document.activeElement.id === 'keep'")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("Forgot ada: 2 memories; no byte is left in personas.db.").wait_for()
    page.get_by_text("Nobody is chosen yet.").wait_for()


def a_pasted_history_is_another_persona(page):
    page.get_by_role("tab", name="Paste a history").press("Enter")
    page.get_by_role("textbox", name=re.compile("^History")).fill(
        f"2024-05-01 | a talk about x | {SECRET}\na talk about y | no"
    )
    page.get_by_role("button", name="Use this history").press("Enter")
    rows(page).filter(has_text=SECRET).wait_for()
    assert rows(page).count() == 2


def answers(page):
    return page.get_by_role("article").locator("> .text").all_inner_texts()


def rows(page):
    return page.get_by_role("region", name="Memories by weight").locator("tbody tr")
