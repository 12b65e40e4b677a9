"""Waiting for what another process or thread does."""

import time


def wait_until(claim):
    """Wait until a claim holds, a minute at most."""
    end = time.monotonic() + 60
    while not claim():
        assert time.monotonic() < end, "waited a minute in vain"
        time.sleep(0.05)
