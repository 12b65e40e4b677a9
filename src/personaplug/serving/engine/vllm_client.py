"""A vLLM server, as this one talks to it: which language model it serves, and how it is asked."""

import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from personaplug.errors import ConfigError
from personaplug.plug.run_file import is_same_model
from personaplug.serving.engine.vllm_wire import Piece, UpstreamError, read_piece

log = logging.getLogger(__name__)

KEY_VARIABLE = "VLLM_API_KEY"
"""The environment variable that vLLM's server takes its key from, and this one too."""

_JSON = {"Content-Type": "application/json"}
_LOAD = "/v1/load_lora_adapter"
_LOADING_SECONDS = 2.0
"""A check waits no longer than this for one adapter; one that takes longer is found by a later check."""
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
"""What reading an answer raises that is in no form of OpenAI's."""

_TIMEOUT = httpx2.Timeout(30.0, connect=5.0, read=300.0, pool=None)


@dataclass(frozen=True, slots=True)
class Upstream:
    """A vLLM server that serves one language model.

    Attributes:
        url: Its address, without ``/v1``.
        model: The name that it knows the language model by.
        positions: Tokens that an input and its answer may have together; None where it does not say.
        loras: The names that it knows the adapters of runs by, by the runs' own names.
        folders: Where it finds adapters that it is to load while it runs, by their names.
    """

    url: str
    model: str
    positions: int | None
    loras: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def find(cls, url: str, *, model: str, folder: str = "") -> "Upstream":
        """Ask a server what it serves.

        Args:
            url: Its address, with or without ``/v1``.
            model: The language model, by its own name or by one it is served under.
            folder: Another name of the same, as of a GGUF file's converted copy.

        Raises:
            ConfigError: There is no such server, or it serves another model.
        """
        url = url.rstrip("/").removesuffix("/v1")
        cards = [card for card in _cards(url) if not card.get("parent")]
        wanted = [name for name in (model, folder) if name]
        for card in cards:
            served_as = (str(card.get("id")), str(card.get("root")))
            if any(is_same_model(name, served) for name in wanted for served in served_as):
                return cls(url, str(card["id"]), card.get("max_model_len"))
        served = ", ".join(str(card.get("id")) for card in cards)
        raise ConfigError(f"{url} serves {served or 'nothing'}, not {model}", hint=f"vllm serve {wanted[-1]} ...")

    def names(self) -> set[str]:
        """Ask the server for the names of all that it answers as: its language model, and adapters beside it.

        Raises:
            ConfigError: It does not say.
        """
        return _names(_cards(self.url))

    def load(self, name: str, folder: str) -> str:
        """Have the server take an adapter while it runs.

        Args:
            name: The adapter's.
            folder: The adapter's, as the server sees it.

        Returns:
            Why it did not; empty where it did.
        """
        body = _loading(name, folder)
        try:
            answer = httpx2.post(f"{self.url}{_LOAD}", json=body, headers=_headers(), timeout=_TIMEOUT)
        except httpx2.HTTPError as error:
            return type(error).__name__
        return _refusal(answer)

    def answering(self, run: str, *, with_persona: bool) -> str:
        """Say by which name the server is to answer: a run's adapter is part of its persona's answers alone."""
        return self.loras.get(run, self.model) if with_persona else self.model

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
        self._refused: set[str] = set()

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
        """Say whether the server takes requests, for all adapters too.

        One that was started anew has lost what it had loaded: it is told to load that again.
        """
        try:
            if (await self._client.get("/health", timeout=2.0)).status_code != 200:
                return False
            if not (lost := await self._lost()):
                return True
            for name in lost & self.upstream.folders.keys():
                await self._load(name)
            return not await self._lost()
        except (httpx2.HTTPError, *_UNREADABLE):
            return False

    async def _load(self, name: str) -> None:
        """Have the server load an adapter again; what it says against that is told once."""
        body = _loading(name, self.upstream.folders[name])
        answer = await self._client.post(_LOAD, json=body, timeout=_LOADING_SECONDS)
        if (refusal := _refusal(answer)) and name not in self._refused:
            self._refused.add(name)
            log.warning("vLLM does not load %s again: %s", name, refusal)

    async def _lost(self) -> set[str]:
        """Name the adapters that the server lacks."""
        if not (wanted := set(self.upstream.loras.values())):
            return wanted
        return wanted - _names(_read_cards(await self._client.get("/v1/models", timeout=2.0)))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _cards(url: str) -> list[dict[str, Any]]:
    """Ask a server for what it serves.

    Raises:
        ConfigError: None answers there.
    """
    try:
        return _read_cards(httpx2.get(f"{url}/v1/models", headers=_headers(), timeout=10.0))
    except (httpx2.HTTPError, httpx2.InvalidURL, *_UNREADABLE) as error:
        hint = f"start it, as docs/serving.md says; a key stands in {KEY_VARIABLE}"
        raise ConfigError(f"no vLLM server answers at {url}: {type(error).__name__}", hint=hint) from error


def _read_cards(answer: httpx2.Response) -> list[dict[str, Any]]:
    answer.raise_for_status()
    return [card for card in answer.json()["data"] if isinstance(card, dict)]


def _loading(name: str, folder: str) -> dict[str, str]:
    return {"lora_name": name, "lora_path": folder}


def _refusal(answer: httpx2.Response) -> str:
    """Say why a server did not do what it was told; empty where it did."""
    return "" if answer.status_code == 200 else f"{answer.status_code} {answer.text[:300]}"


def _names(cards: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(card.get("id")) for card in cards}


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
