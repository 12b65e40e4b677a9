"""A vLLM server, as this one talks to it: which language model it serves, and how it is asked."""

import os
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

import httpx2

from personaplug.errors import ConfigError
from personaplug.serving.engine.vllm_wire import Piece, UpstreamError, read_piece

KEY_VARIABLE = "VLLM_API_KEY"
"""The environment variable that vLLM's server takes its key from, and this one too."""

_JSON = {"Content-Type": "application/json"}
_TIMEOUT = httpx2.Timeout(30.0, connect=5.0, read=300.0, pool=None)


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

    async def complete(self, body: bytes) -> AsyncGenerator[Piece, None]:
        """Have one question answered, piece by piece; whoever stops listening stops the answer.

        Args:
            body: As :func:`write_body` writes it.

        Raises:
            UpstreamError: No answer comes, or it breaks off.
        """
        try:
            async with self._client.stream("POST", "/v1/completions", content=body, headers=_JSON) as response:
                if response.status_code != 200:
                    raise UpstreamError(f"the language model's server answers {response.status_code}")
                async for line in _lines(response.aiter_bytes()):
                    if line.startswith(b"data:") and (data := line[5:].strip()) != b"[DONE]":
                        yield read_piece(data)
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


def _headers() -> dict[str, str]:
    key = os.environ.get(KEY_VARIABLE)
    return {"Authorization": f"Bearer {key}"} if key else {}


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a stream at its line feeds alone: an answer may hold other signs that end a line of text."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
    yield rest
