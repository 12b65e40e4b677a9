"""The words of the synthetic sample, read from ``sample_words.toml``."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from personaplug.config import read_toml


@dataclass(frozen=True, slots=True)
class Value:
    """A value of an aspect: the label users give it and the ways a text says it."""

    label: str
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Aspect:
    """One side of a work, such as its mood."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts in a note, and the word for them in a headline."""

    text: str
    short: str


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done, as a note says it, and its verb forms and object for a headline."""

    past: str
    does: str
    do: str
    thing: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it, as a note says it, and as somebody quoted in a headline does."""

    text: str
    quote: str


@dataclass(frozen=True, slots=True)
class SampleWords:
    """All words of the sample."""

    names: tuple[str, ...]
    works: tuple[str, ...]
    aspects: tuple[Aspect, ...]
    people: tuple[Person, ...]
    deeds: tuple[Deed, ...]
    places: tuple[str, ...]
    occasions: tuple[str, ...]
    results: tuple[Result, ...]


@cache
def sample_words() -> SampleWords:
    """Read the words, once."""
    return read_toml(SampleWords, Path(str(files("personaplug.data") / "sample_words.toml")))
