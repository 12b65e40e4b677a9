import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaplug.serving.engine.turns import LongInputError, Turn, fitted, joined

TURNS = st.lists(st.builds(Turn, st.text("ab ", max_size=9), stays=st.booleans()), min_size=1, max_size=9)


def read_of(turns, room):
    return fitted(turns, count=len, room=room, field="messages")


@given(TURNS, st.integers(0, 60))
def test_what_is_read_fits_and_ends_with_the_newest_turn_or_is_refused(turns, room):
    must = joined([turn for at, turn in enumerate(turns) if turn.stays or at == len(turns) - 1])
    if len(must) > room:
        with pytest.raises(LongInputError, match=f" {len(must)} tokens, where there is room for {room}"):
            read_of(turns, room)
        return
    text = read_of(turns, room)
    assert len(must) <= len(text) <= room
    assert text.endswith(turns[-1].text)


@given(TURNS, st.integers(0, 60))
def test_no_turn_is_cut_and_none_is_left_out_before_an_older_one(turns, room):
    marked = [Turn(f"{at}{turn.text}", turn.stays) for at, turn in enumerate(turns)]
    try:
        text = read_of(marked, room)
    except LongInputError:
        return
    read = [turn for turn in marked if turn.text in text.split("\n\n")]
    assert joined(read) == text
    left = [at for at, turn in enumerate(marked) if turn not in read]
    assert left == [at for at, turn in enumerate(marked) if not turn.stays][: len(left)]
    if left:  # one turn more would be too many
        newest = marked[left[-1]]
        assert len(joined([turn for turn in marked if turn in read or turn is newest])) > room


def test_a_chat_that_fits_is_read_whole():
    turns = [Turn("one"), Turn(""), Turn("two", stays=True), Turn("three")]
    assert read_of(turns, 15) == "one\n\ntwo\n\nthree"
    assert read_of(turns, 14) == "two\n\nthree"
    with pytest.raises(LongInputError, match="10 tokens, where there is room for 9"):
        read_of(turns, 9)
