"""How completions are written: a chat's and a text's, whole and piece by piece."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from personaplug.serving.api import schemas
from personaplug.serving.engine.request import GeneratedAnswer


@dataclass(frozen=True, slots=True)
class CompletionHead:
    """A completion in the making.

    Attributes:
        id: Its name.
        created: When, in seconds since 1970.
        model: Who answers.
    """

    id: str
    created: int
    model: str

    @classmethod
    def now(cls, prefix: str, model: str) -> "CompletionHead":
        """Name a completion."""
        return cls(f"{prefix}-{secrets.token_hex(12)}", int(time.time()), model)

    @property
    def fields(self) -> dict[str, Any]:
        """What every part of it says of itself."""
        return {"id": self.id, "created": self.created, "model": self.model}


class CompletionFormatter(Protocol):
    """Writes one completion."""

    def whole(self, answers: Sequence[GeneratedAnswer], used: schemas.Usage) -> BaseModel:
        """Write the whole."""

    def first(self, index: int) -> BaseModel | None:
        """Write what comes before an answer's first piece, if anything does."""

    def piece(self, index: int, text: str) -> BaseModel:
        """Write a piece of an answer."""

    def last(self, index: int, answer: GeneratedAnswer) -> BaseModel:
        """Write what comes after an answer's last piece."""

    def used(self, used: schemas.Usage) -> BaseModel:
        """Write what was used, where it was asked for."""


class ChatFormatter:
    """Writes the completion of a chat."""

    def __init__(self, model: str) -> None:
        self._fields = CompletionHead.now("chatcmpl", model).fields

    def whole(self, answers: Sequence[GeneratedAnswer], used: schemas.Usage) -> BaseModel:
        """Write the whole."""
        choices = [
            schemas.ChatChoice(
                index=at, message=schemas.AssistantMessage(content=answer.text), finish_reason=answer.ending
            )
            for at, answer in enumerate(answers)
        ]
        return schemas.ChatResponse(**self._fields, choices=choices, usage=used)

    def first(self, index: int) -> BaseModel | None:
        """Say whose turn it is."""
        return self._chunk(schemas.ChunkChoice(index=index, delta={"role": "assistant", "content": ""}))

    def piece(self, index: int, text: str) -> BaseModel:
        """Write a piece of an answer."""
        return self._chunk(schemas.ChunkChoice(index=index, delta={"content": text}))

    def last(self, index: int, answer: GeneratedAnswer) -> BaseModel:
        """Say why an answer ended."""
        return self._chunk(schemas.ChunkChoice(index=index, delta={}, finish_reason=answer.ending))

    def used(self, used: schemas.Usage) -> BaseModel:
        """Write what was used."""
        return schemas.ChatChunk(**self._fields, choices=[], usage=used)

    def _chunk(self, choice: schemas.ChunkChoice) -> BaseModel:
        return schemas.ChatChunk(**self._fields, choices=[choice])


class TextFormatter:
    """Writes the completion of texts."""

    def __init__(self, model: str) -> None:
        self._fields = CompletionHead.now("cmpl", model).fields

    def whole(self, answers: Sequence[GeneratedAnswer], used: schemas.Usage) -> BaseModel:
        """Write the whole."""
        choices = [
            schemas.TextChoice(index=at, text=answer.text, finish_reason=answer.ending)
            for at, answer in enumerate(answers)
        ]
        return schemas.CompletionResponse(**self._fields, choices=choices, usage=used)

    def first(self, index: int) -> BaseModel | None:  # noqa: ARG002 (the form's signature)
        """Write nothing: a text begins with its first piece."""
        return None

    def piece(self, index: int, text: str) -> BaseModel:
        """Write a piece of an answer."""
        choice = schemas.TextChoice(index=index, text=text, finish_reason=None)
        return schemas.CompletionResponse(**self._fields, choices=[choice])

    def last(self, index: int, answer: GeneratedAnswer) -> BaseModel:
        """Say why an answer ended."""
        choice = schemas.TextChoice(index=index, text="", finish_reason=answer.ending)
        return schemas.CompletionResponse(**self._fields, choices=[choice])

    def used(self, used: schemas.Usage) -> BaseModel:
        """Write what was used."""
        return schemas.CompletionResponse(**self._fields, choices=[], usage=used)
