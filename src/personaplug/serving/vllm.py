"""A vLLM server as this one talks to it: embeddings out, a stream of text back.

The request is that of https://docs.vllm.ai/en/stable/features/prompt_embeds/: a completion whose ``prompt_embeds`` is a
tensor ``[tokens, llm_dim]``, saved by PyTorch and written in base64. Such a thing is sent here, and never read.
"""

import base64
import hashlib
import io
import json
import os
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
import torch
from torch import Tensor

from personaplug.errors import ConfigError, PersonaPlugError
from personaplug.serving.question import Question

KEY_VARIABLE = "VLLM_API_KEY"
"""The environment variable that vLLM's server takes its key from, and this one too."""

_TIMEOUT = httpx2.Timeout(30.0, connect=5.0, read=300.0, pool=None)


class UpstreamError(PersonaPlugError):
    """The server that this one passes questions to does not answer them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer.

    Attributes:
        text: What was written since the last part.
        ending: Why the answer ended with this part; None before.
        tokens: How many the whole answer has, its end included; None before all is said.
    """

    text: str = ""
    ending: Literal["stop", "length"] | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Upstream:
    """A vLLM server that serves one language model.

    Attributes:
        url: Its address, without ``/v1``.
        model: The name that it knows the language model by.
        positions: Tokens that an input and its answer may have together; None where it does not say.
    """

    url: str
    model: str
    positions: int | None

    @classmethod
    def find(cls, url: str, *, model: str) -> "Upstream":
        """Ask a server what it serves.

        Args:
            url: Its address, with or without ``/v1``.
            model: The language model, by its own name or by one it is served under.

        Raises:
            ConfigError: There is no such server, or it serves another model.
        """
        url = url.rstrip("/").removesuffix("/v1")
        try:
            answer = httpx2.get(f"{url}/v1/models", headers=_headers(), timeout=10.0)
            answer.raise_for_status()
            cards = [card for card in answer.json()["data"] if isinstance(card, dict)]
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
            hint = f"start it, as docs/serving.md says; a key stands in {KEY_VARIABLE}"
            raise ConfigError(f"no vLLM server answers at {url}: {type(error).__name__}", hint=hint) from error
        for card in cards:
            if model in (card.get("id"), card.get("root")):
                return cls(url, str(card["id"]), card.get("max_model_len"))
        served = ", ".join(str(card.get("id")) for card in cards)
        raise ConfigError(f"{url} serves {served or 'nothing'}, not {model}", hint=f"vllm serve {model} ...")

    def open(self, *, connections: int) -> "Connection":
        """Make what asks it, on the running event loop."""
        limits = httpx2.Limits(max_connections=connections + 1, keepalive_expiry=2.0)  # one to ask how it is
        client = httpx2.AsyncClient(base_url=self.url, headers=_headers(), timeout=_TIMEOUT, limits=limits)
        return Connection(self, client)


class Connection:
    """Asks a vLLM server, from one event loop.

    Args:
        upstream: The server.
        client: Speaks HTTP with it.
    """

    def __init__(self, upstream: Upstream, client: httpx2.AsyncClient) -> None:
        self.upstream = upstream
        self._client = client

    async def complete(self, row: Tensor, question: Question) -> AsyncGenerator[Piece, None]:
        """Have one question answered, piece by piece; whoever stops listening stops the answer.

        Args:
            row: The question as the language model reads it, ``[tokens, llm_dim]``.
            question: How to decode, and where to stop.

        Raises:
            UpstreamError: No answer comes, or it breaks off.
        """
        try:
            async with self._client.stream("POST", "/v1/completions", json=self._body(row, question)) as response:
                if response.status_code != 200:
                    raise UpstreamError(f"the language model's server answers {response.status_code}")
                async for line in response.aiter_lines():
                    if line.startswith("data:") and (data := line[5:].strip()) != "[DONE]":
                        yield _piece(data)
        except httpx2.HTTPError as error:
            raise UpstreamError(f"the language model's server does not answer: {type(error).__name__}") from error

    async def is_alive(self) -> bool:
        """Say whether the server takes requests."""
        try:
            return (await self._client.get("/health", timeout=2.0)).status_code == 200
        except httpx2.HTTPError:
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _body(self, row: Tensor, question: Question) -> dict[str, Any]:
        config = question.config
        is_sampled = config.strategy == "sample"
        return {
            "model": self.upstream.model,
            "prompt_embeds": _encoded(row),
            "cache_salt": _salt(row),
            "max_tokens": config.max_new_tokens,
            "temperature": config.temperature if is_sampled else 0.0,
            "top_p": config.top_p if is_sampled else 1.0,
            "seed": config.seed,
            "stop": list(question.stops),
            "stream": True,
            "stream_options": {"include_usage": True},
            **_PLAIN,
        }


_PLAIN = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Said because a server may take other values from the model's ``generation_config.json``."""


def _headers() -> dict[str, str]:
    key = os.environ.get(KEY_VARIABLE)
    return {"Authorization": f"Bearer {key}"} if key else {}


def _encoded(row: Tensor) -> str:
    """Write a tensor as vLLM reads it."""
    buffer = io.BytesIO()
    torch.save(row.detach().cpu().contiguous().clone(), buffer)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _salt(row: Tensor) -> str:
    """Name the persona and the input that it is before, so that no other shares what the server keeps of it.

    The persona depends on the input. vLLM tells kept prefixes apart by token ids, which embeddings do not have.
    """
    numbers = row.detach().cpu().float().contiguous().numpy()
    return hashlib.sha256(numbers.tobytes()).hexdigest()


def _piece(data: str) -> Piece:
    """Read one event of a stream."""
    try:
        event: Mapping[str, Any] = json.loads(data)
        if "error" in event:
            raise UpstreamError("the language model's server failed on the way")
        choices, usage = event["choices"], event.get("usage")
        tokens = usage["completion_tokens"] if usage else None
        if not choices:
            return Piece(tokens=tokens)
        ending = choices[0].get("finish_reason")
        if ending not in (None, "stop", "length"):
            raise UpstreamError("the language model's server has given up an answer")
        return Piece(choices[0].get("text") or "", ending, tokens)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UpstreamError("the language model's server answers in no form of OpenAI's") from error
