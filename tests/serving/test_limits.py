import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaplug.serving.engine.limits import Limits, RateLimiter

PAUSES = st.lists(st.floats(0, 40), max_size=40)


@given(per_minute=st.integers(1, 20), pauses=PAUSES)
def test_never_more_than_a_minutes_worth_at_once_and_as_many_a_minute_after(per_minute, pauses):
    limiter, now, allowed = RateLimiter(per_minute), 0.0, 0
    for pause in pauses:
        now += pause
        allowed += limiter.take("key", now=now) == 0
    assert allowed <= per_minute + now * per_minute / 60 + 1e-6


@given(per_minute=st.integers(1, 20), pauses=PAUSES)
def test_who_waits_as_long_as_told_is_let_in(per_minute, pauses):
    limiter, now = RateLimiter(per_minute), 0.0
    for pause in pauses:
        now += pause / 10
        if wait := limiter.take("key", now=now):
            now += wait
            assert limiter.take("key", now=now) == 0


@given(per_minute=st.integers(1, 20), idle=st.floats(60, 1e6))
def test_who_was_idle_has_saved_up_no_more_than_a_minutes_worth(per_minute, idle):
    limiter = RateLimiter(per_minute)
    assert limiter.take("key", now=0.0) == 0
    assert sum(limiter.take("key", now=idle) == 0 for _ in range(3 * per_minute)) == per_minute


def test_keys_do_not_share_a_rate():
    limiter = RateLimiter(1)
    assert limiter.take("one", now=0.0) == 0
    assert limiter.take("one", now=0.0) == 60
    assert limiter.take("two", now=0.0) == 0


def test_zero_is_any_number():
    assert not any(RateLimiter(0).take("key", now=0.0) for _ in range(1000))


@pytest.mark.parametrize("wrong", [{"body_bytes": 0}, {"body_seconds": 0.0}, {"requests_per_minute": -1}])
def test_limits_that_nothing_could_keep_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        Limits(**wrong)
