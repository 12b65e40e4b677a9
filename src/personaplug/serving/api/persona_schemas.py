"""What clients send and get about a user's persona."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, FailFast, Field

from personaplug.plug.memory import Memory
from personaplug.records import HistoryItem
from personaplug.serving.api.schemas import Id, Strict, Text
from personaplug.serving.engine import limits
from personaplug.serving.engine.history_service import NewItem
from personaplug.store.persona_store import UserSummary


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("outside the years 1 to 9999 in UTC") from None


class Item(Strict):
    """Something a user did."""

    input: Text = Field(description="What they read.")
    output: Text = Field(description="What they answered.")
    id: Id | None = Field(None, description="Unique within the user. Told again, an item takes the place of its first.")
    time: Annotated[AwareDatetime, AfterValidator(_in_utc)] | None = Field(
        None, description="When, with a time zone; now by default."
    )

    def as_new(self) -> NewItem:
        """Give the item as the history service wants it."""
        return NewItem(self.input, self.output, self.id, self.time)


class HistoryRequest(Strict):
    """Items to add to a history."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {
                        "id": "2024-05-01-1",
                        "time": "2024-05-01T12:30:00Z",
                        "input": "Night falls on the harbour",
                        "output": "Harbour at night",
                    }
                ]
            }
        }
    )

    items: Annotated[list[Item], FailFast(), Field(min_length=1, max_length=limits.MOST_ITEMS)]


class HeldItem(BaseModel):
    """An item of a history."""

    id: str
    time: datetime
    input: str
    output: str

    @classmethod
    def of(cls, item: HistoryItem) -> "HeldItem":
        """Write an item."""
        return cls(id=item.id, time=item.time, input=item.input, output=item.output)


class PersonaResponse(BaseModel):
    """What is held of a user."""

    user: str
    items: int
    first: datetime
    last: datetime
    encoder: str
    history: list[HeldItem] | None = Field(
        default=None, description="The items themselves, where `text` was asked for."
    )

    @classmethod
    def of(cls, user: str, summary: UserSummary, *, encoder: str) -> "PersonaResponse":
        """Write a summary, under the id by which the caller knows the user."""
        return cls(user=user, items=summary.items, first=summary.first, last=summary.last, encoder=encoder)


class HistoryResponse(BaseModel):
    """What an append did."""

    user: str
    new_items: int = Field(description="Items that are new or changed; told again as they are, none.")
    items: int


class ForgetResponse(BaseModel):
    """What is gone."""

    user: str
    items: int


class ExplainRequest(Strict):
    """An input whose persona is to be explained."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"model": "headlines", "input": "Night falls on the harbour", "top": 3}}
    )

    model: Id
    input: Text
    top: int = Field(10, ge=1, le=1_000)
    text: bool = Field(False, description="Whether the items themselves are wanted.")


class MemoryResponse(BaseModel):
    """What one item of the history means to the answer."""

    id: str
    time: datetime
    weight: float
    weights: list[float]
    similarity: float
    age_days: float
    is_in_prompt: bool
    input: str | None = None
    output: str | None = None

    @classmethod
    def of(cls, memory: Memory, *, with_text: bool) -> "MemoryResponse":
        """Write a memory."""
        item = memory.item
        return cls(
            id=item.id,
            time=item.time,
            weight=memory.weight,
            weights=list(memory.weights),
            similarity=memory.similarity,
            age_days=memory.age_days,
            is_in_prompt=memory.is_in_prompt,
            input=item.input if with_text else None,
            output=item.output if with_text else None,
        )


class ExplainResponse(BaseModel):
    """The memories by weight."""

    user: str
    model: str
    memories: list[MemoryResponse]
    items: int = Field(description="How many items the persona was made of.")
