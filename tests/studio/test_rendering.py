"""What is drawn: whole numbers of the law of weights, and no text that steers the page."""

import re

import pytest

from personaplug.errors import ConfigError, StudioError
from personaplug.plug.memory import Memory
from personaplug.studio import rendering
from tests.factories import make_item
from tests.studio.conftest import QUESTION

WILD = '<img src=x onerror=alert(1)> {{ 98765 * 1001 }} & "quoted"'


def test_bars_are_as_long_as_their_weights_beside_the_weightiest():
    memories = tuple(Memory(make_item(day), weight, (weight,), 0.0, 1.0) for day, weight in enumerate((0.5, 0.3, 0.2)))
    drawn = rendering.bars(memories, newest="1")
    assert [bar.length for bar in drawn] == pytest.approx([1, 0.6, 0.4])
    assert [bar.is_new for bar in drawn] == [False, True, False]
    assert rendering.bars(()) == []


def test_the_chart_has_every_memory_or_says_what_the_rest_weighs(session):
    for user, rows in (("cyd", 7), ("dee", rendering.SHOWN)):
        session.choose(user, QUESTION)
        chart = rendering.draw_memories(session)
        shown = [float(number) for number in re.findall(r'class="number">([\d.]+)%', chart)]
        rest = [float(number) for number in re.findall(r"weigh\w* ([\d.]+)%", chart)]
        assert len(shown) == rows
        assert len(rest) == (user == "dee")
        assert shown == sorted(shown, reverse=True)
        assert sum(shown + rest) == pytest.approx(100, abs=0.05 * (rows + 1))
        assert chart.count("<time datetime=") == rows


def test_nothing_that_a_person_wrote_is_markup(session):
    session.paste(f"{WILD} | {WILD}", WILD)
    session.append(WILD, WILD)
    drawn = [rendering.draw_persona(session), rendering.draw_answers(session), rendering.draw_memories(session)]
    drawn += [
        rendering.draw_question(session),
        rendering.draw_notice(WILD),
        rendering.draw_refusal(StudioError(WILD, hint=WILD)),
    ]
    assert "<img" not in "".join(drawn)
    assert str(98765 * 1001) not in drawn[2]
    assert "&lt;img src=x onerror=alert(1)&gt; {{ 98765 * 1001 }} &amp; &#34;quoted&#34;" in drawn[2]


def test_both_answers_stand_side_by_side_with_the_one_before_a_new_memory(session):
    session.choose("ada", QUESTION)
    first = rendering.draw_answers(session)
    assert first.count("<article") == 2
    assert first.index("With the persona of ada") < first.index("Without persona")
    assert "new memory" not in first
    session.append(QUESTION, "something else entirely")
    assert "Before the new memory:" in rendering.draw_answers(session)
    assert rendering.draw_memories(session).count(">new</span>") == 1


def test_an_error_is_a_sentence_that_is_read_aloud():
    drawn = rendering.draw_refusal(ConfigError("the folder is no run", hint="train one"))
    assert 'role="alert"' in drawn
    assert "The folder is no run." in drawn
    assert "train one" in drawn
    assert rendering.draw_notice("") == ""


def test_before_anyone_is_chosen_the_page_says_what_will_be_where(session):
    assert "Nobody is chosen yet" in rendering.draw_persona(session)
    assert "side by side" in rendering.draw_answers(session)
    assert rendering.draw_memories(session).strip() == rendering.draw_question(session).strip() == ""
