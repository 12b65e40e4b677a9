"""What clients send and get: OpenAI's own requests and responses, as far as a personal model knows them."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from personaplug.serving.engine import limits
from personaplug.serving.engine.turns import Turn

Text = Annotated[str, Field(max_length=limits.LONGEST_TEXT)]
Id = Annotated[str, Field(min_length=1, max_length=limits.LONGEST_ID)]
Zero = Annotated[float, Field(ge=0, le=0)]

_USER = "Whose way to answer in. An unknown user, or none, is answered as one without items."
_PERSONA = "`off` lets the bare language model answer."
_UNUSED = "Taken from OpenAI's clients, and not looked at."
_TEMPERATURE = "0, or none, takes the likeliest token each time; above, tokens are drawn."


class Strict(BaseModel):
    """A request without fields that would be overlooked; one that is null counts as not sent.

    Attributes:
        idle: Values by the names of fields that are not known here, or are so with other values: such as ask for
            nothing, and count as not sent either.
    """

    model_config = ConfigDict(extra="forbid")

    idle: ClassVar[Mapping[str, tuple[object, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _sent(cls, fields: object) -> object:
        """Take away what asks for nothing. Each field that is not known is an error of its own, so they are few."""
        if not isinstance(fields, dict):
            return fields
        if len(fields) > limits.MOST_FIELDS:
            raise PydanticCustomError("too_many_fields", f"At most {limits.MOST_FIELDS} fields are looked at")
        return {
            name: value for name, value in fields.items() if value is not None and value not in cls.idle.get(name, ())
        }


def _at_most(count: int) -> BeforeValidator:
    """Refuse a longer list before its parts are looked at, each of which may be wrong in a way of its own."""

    def check(value: object) -> object:
        if isinstance(value, list) and len(value) > count:
            raise PydanticCustomError("too_long", f"At most {count} are taken")
        return value

    return BeforeValidator(check)


class StreamOptions(Strict):
    """What a stream ends with."""

    include_usage: bool = False
    include_obfuscation: bool = False


class CompletionOptions(Strict):
    """What both kinds of completion have in common."""

    idle: ClassVar[Mapping[str, tuple[object, ...]]] = {"logit_bias": ({},), "stop": ("", [])}

    model: Id
    user: Id | None = Field(None, description=_USER)
    persona: Literal["on", "off"] = Field("on", description=_PERSONA)
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2, description=_TEMPERATURE)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Annotated[str | list[str] | None, _at_most(limits.MOST_STOPS)] = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    frequency_penalty: Zero | None = None
    presence_penalty: Zero | None = None

    @property
    def longest(self) -> int | None:
        """Most tokens of an answer; None for as many as the model has room for."""
        return self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts before which an answer ends."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with what was used."""
        return bool(self.stream_options and self.stream_options.include_usage)


class TextPart(Strict):
    """A part of a message."""

    type: Literal["text"]
    text: Text


class Message(Strict):
    """One turn of a chat; an assistant's may be as OpenAI's client returns it."""

    idle: ClassVar[Mapping[str, tuple[object, ...]]] = {"tool_calls": ([],), "annotations": ([],)}

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Text | list[TextPart], _at_most(limits.MOST_PARTS)]
    name: Id | None = None
    refusal: Text | None = Field(None, description="Read in place of a content that is not there.")

    @model_validator(mode="before")
    @classmethod
    def _answered(cls, fields: object) -> object:
        """Let an assistant have said nothing, or have refused."""
        if isinstance(fields, dict) and fields.get("role") == "assistant" and fields.get("content") is None:
            return {**fields, "content": fields.get("refusal") or ""}
        return fields

    @property
    def turn(self) -> Turn:
        """The whole turn as one text."""
        parts = [self.content] if isinstance(self.content, str) else [part.text for part in self.content]
        return Turn("".join(parts), stays=self.role in ("system", "developer"))


class ChatRequest(CompletionOptions):
    """A chat to go on with."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": "headlines",
                "user": "ada",
                "messages": [{"role": "user", "content": "Night falls on the harbour"}],
            }
        }
    )

    idle: ClassVar[Mapping[str, tuple[object, ...]]] = {
        **CompletionOptions.idle,
        "function_call": ("none", "auto"),
        "functions": ([],),
        "metadata": ({},),
        "modalities": (["text"],),
        "parallel_tool_calls": (True, False),
        "reasoning_effort": ("none",),
        "response_format": ({"type": "text"},),
        "service_tier": ("auto", "default"),
        "store": (False,),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "top_logprobs": (0,),
        "verbosity": ("medium",),
    }

    messages: Annotated[list[Message], FailFast(), Field(min_length=1, max_length=limits.MOST_MESSAGES)]
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: Literal[False] | None = None
    prompt_cache_key: Id | None = Field(None, description=_UNUSED)
    safety_identifier: Id | None = Field(None, description=_UNUSED)

    @property
    def longest(self) -> int | None:
        """Most tokens of an answer, by either of its names."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns: the run's task writes its prompt around them."""
        return tuple(message.turn for message in self.messages)


class CompletionRequest(CompletionOptions):
    """One text to answer, or several."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"model": "headlines", "user": "ada", "prompt": "Night falls on the harbour"}}
    )

    idle: ClassVar[Mapping[str, tuple[object, ...]]] = {**CompletionOptions.idle, "suffix": ("",)}

    prompt: Annotated[Text | Annotated[list[Text], Field(min_length=1)], _at_most(limits.MOST_PROMPTS)]
    echo: Literal[False] | None = None
    best_of: Literal[1] | None = None

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


class Usage(BaseModel):
    """Tokens read and written; the vectors of the persona count as tokens read."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completed(BaseModel):
    """What all completions begin with."""

    id: str
    created: int
    model: str
    usage: Usage | None = None


class AssistantMessage(BaseModel):
    """An answer as a turn of a chat."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """The answer to a chat."""

    index: int
    message: AssistantMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatResponse(Completed):
    """A chat's completion."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[ChatChoice]


class TextChoice(BaseModel):
    """The answer to a text, or a piece of it."""

    index: int
    text: str
    finish_reason: Literal["stop", "length"] | None
    logprobs: None = None


class CompletionResponse(Completed):
    """A completion of texts, or a piece of it."""

    object: Literal["text_completion"] = "text_completion"
    choices: list[TextChoice]


class ChunkChoice(BaseModel):
    """A piece of the answer to a chat."""

    index: int
    delta: dict[str, str]
    finish_reason: Literal["stop", "length"] | None = None
    logprobs: None = None


class ChatChunk(Completed):
    """A piece of a chat's completion."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[ChunkChoice]


class ModelCard(BaseModel):
    """A run that answers."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "personaplug"


class ModelList(BaseModel):
    """All runs that answer."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class ErrorDetail(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """An error in OpenAI's form."""

    error: ErrorDetail
