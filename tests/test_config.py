"""Strict dataclasses in and out of TOML."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.config import from_mapping, option, override, read_toml, write_toml
from personaplug.errors import ConfigError


@dataclass(frozen=True)
class Part:
    size: int = option(3, "How big.")
    share: float = option(0.5, "How much of the whole.")

    def __post_init__(self):
        if self.size < 0:
            raise ValueError(f"size is {self.size}, below 0")


@dataclass(frozen=True)
class Whole:
    name: str
    mode: Literal["slow", "fast"] = option("slow", "How fast.")
    is_new: bool = option(False, "Whether it is new.")
    limit: int | None = option(None, "At most so many.")
    words: tuple[str, ...] = option((), "Some words.")
    part: Part = field(default_factory=Part)
    parts: tuple[Part, ...] = ()
    seen: int = field(default=0, init=False)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PARTS = st.builds(Part, st.integers(0, 2**62), st.floats(allow_nan=False))
WHOLES = st.builds(
    Whole,
    name=TEXTS,
    mode=st.sampled_from(["slow", "fast"]),
    is_new=st.booleans(),
    limit=st.none() | st.integers(-(2**62), 2**62),
    words=st.lists(TEXTS, max_size=3).map(tuple),
    part=PARTS,
)


@settings(max_examples=60)
@given(WHOLES)
def test_what_is_written_is_read_back(tmp_path_factory, whole):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    write_toml(whole, path)
    assert read_toml(Whole, path) == whole


def test_each_help_stands_above_its_key(tmp_path):
    write_toml(Whole("a"), tmp_path / "whole.toml")
    lines = (tmp_path / "whole.toml").read_text().splitlines()
    assert lines[lines.index('mode = "slow"') - 1] == "# How fast."
    assert lines[lines.index("size = 3") - 1] == "# How big."
    assert "seen" not in tomllib.loads("\n".join(lines))


def test_tables_within_a_list_become_dataclasses():
    whole = from_mapping(Whole, {"name": "a", "parts": [{"size": 1}, {"size": 2}]}, where="whole.toml")
    assert whole.parts == (Part(1), Part(2))


def test_a_whole_number_is_read_as_a_float_where_one_is_due():
    share = from_mapping(Part, {"share": 1}, where="x").share
    assert (share, type(share)) == (1.0, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a", "colour": 1}, "whole.toml: unknown key 'colour'"),
        ({"name": "a", "part": {"siez": 1}}, "whole.toml: part: unknown key 'siez'"),
        ({"name": "a", "seen": 1}, "unknown key 'seen'"),
        ({}, "missing .* 'name'"),
        ({"name": 3}, "name is 3, not str"),
        ({"name": "a", "mode": "medium"}, "mode is 'medium', not one of 'slow', 'fast'"),
        ({"name": "a", "is_new": 1}, "is_new is 1, not bool"),
        ({"name": "a", "limit": 1.5}, "limit is 1.5, not "),
        ({"name": "a", "part": {"size": True}}, "part: size is True, not int"),
        ({"name": "a", "part": {"size": -1}}, "part: size is -1, below 0"),
        ({"name": "a", "part": 3}, "part is 3, not Part"),
        ({"name": "a", "words": "one"}, "words is 'one', not "),
        ({"name": "a", "words": [1]}, "words is 1, not str"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_key_and_value(values, message):
    with pytest.raises(ConfigError, match=message):
        from_mapping(Whole, values, where="whole.toml")


def test_an_unknown_key_s_hint_lists_the_known():
    with pytest.raises(ConfigError) as caught:
        from_mapping(Part, {"siez": 1}, where="x")
    assert caught.value.hint == "known keys: size, share"


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), (b"a = ", "not a TOML file"), (b'a = "\xff"', "not a TOML file")]
)
def test_a_file_that_is_no_toml_is_an_error_that_names_it(content, message, tmp_path):
    path = tmp_path / "whole.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{path}: .*{message}"):
        read_toml(Part, Path(path))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("mode=fast", Whole("a", mode="fast")),
        ('mode = "fast"', Whole("a", mode="fast")),
        ("part.share=1", Whole("a", part=Part(share=1.0))),
        ("words=['x', 'y']", Whole("a", words=("x", "y"))),
        ("is_new=true", Whole("a", is_new=True)),
    ],
)
def test_a_setting_changes_one_field(setting, expected):
    assert override(Whole("a"), [setting]) == expected


def test_a_table_changes_what_it_names_of_the_part_that_is_there():
    assert override(Whole("a", part=Part(size=7)), ["part={share=2.0}"]) == Whole("a", part=Part(7, 2.0))


def test_of_two_settings_the_later_counts_and_the_others_stay():
    given = Whole("a", words=("x",), part=Part(size=7))
    assert override(given, ["part.share=2", "part.share=3"]) == Whole("a", words=("x",), part=Part(7, 3.0))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("mode", "'mode' is no setting"),
        ("mode=quick", "mode is 'quick', not one of"),
        ("speed=1", "unknown key 'speed'"),
        ("part.speed=1", "unknown key 'speed'"),
        ("mode.speed=1", "there is no section 'mode'"),
        ("part.size=-1", "size is -1, below 0"),
    ],
)
def test_a_setting_that_does_not_fit_is_an_error_that_shows_it(setting, message):
    with pytest.raises(ConfigError, match=message):
        override(Whole("a"), [setting])


def test_values_nested_too_deep_are_an_error_and_no_traceback(tmp_path):
    deep = "[" * 5000 + "]" * 5000
    (tmp_path / "deep.toml").write_text(f"words = {deep}")
    with pytest.raises(ConfigError, match=r"deep.toml: its values are nested too deep"):
        read_toml(Whole, tmp_path / "deep.toml")
    with pytest.raises(ConfigError, match="nested too deep"):
        override(Whole("a"), [f"words={deep}"])


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=f"{tmp_path}: cannot be read"):
        read_toml(Whole, tmp_path)
