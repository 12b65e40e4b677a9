"""The folder of what can be fetched or made again."""

from pathlib import Path

import pytest

from personaplug.cache import cache_folder


@pytest.mark.parametrize(
    ("own", "shared", "expected"),
    [("/own", "/shared", "/own"), ("", "/shared", "/shared/personaplug"), ("", "", "/home/me/.cache/personaplug")],
)
def test_the_own_variable_wins_then_the_users_cache_then_the_home(own, shared, expected, monkeypatch):
    for name, value in {"PERSONAPLUG_CACHE": own, "XDG_CACHE_HOME": shared, "HOME": "/home/me"}.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)
