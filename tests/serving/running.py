"""A server of tiny models, really listening on loopback."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import openai
import uvicorn

from personaplug.embedder.copy_head import CopyingConfig
from personaplug.embedder.embedder_config import OURS, EmbedderConfig
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.model import build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.ports import address_of
from personaplug.serving.api.access import KeyAccess
from personaplug.serving.api.keys import RIGHTS, KeyFile
from personaplug.serving.api.server import build_server, listen_for
from personaplug.serving.api.service import ServedPaths, Service
from personaplug.serving.engine.limits import Limits
from tests.world import TASK, as_if_trained, encoder_in, make_run, make_store

RUNS = {"llama": "decoder-only", "again": "decoder-only", "t5": "encoder-decoder", "tuned": "decoder-only"}
RUNS |= {"adapted": "decoder-only", "lora": "decoder-only", "copying": "decoder-only"}
"""Families by the names of the runs; the second has the language model of the first, and ``tuned`` has no persona.

Two have an adapter beside the default's persona. In the first of them it reads answers alone. The last run is the
first of all, and copies.
"""
_COPIES = CopyingConfig(order=2, boost=1e60)
_ADAPTERS = {"adapted": SharedAdapterConfig(rank=2), "lora": SharedAdapterConfig(rank=2, reads="all")}

CALLERS = {
    "all": ("", RIGHTS),
    "acme": ("acme", RIGHTS),
    "other": ("other", RIGHTS),
    "generate": ("acme", ("generate",)),
    "read": ("acme", ("read",)),
    "write": ("acme", ("write",)),
}
"""Tenant and rights by the names of the keys."""

LIMITS = Limits(
    body_bytes=200_000,
    head_seconds=1.0,
    body_seconds=1.0,
    items_per_user=60,
    answer_tokens=200,
    requests_per_minute=0,
    refusals_per_minute=0,
)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs.

    Attributes:
        url: Its address.
        service: What it is made of.
        secrets: Keys by the names of their callers.
        key_file: Where they are kept.
        uvicorn: Holds its connections.
    """

    url: str
    service: Service
    secrets: Mapping[str, str]
    key_file: KeyFile
    uvicorn: uvicorn.Server

    def client(self, caller: str = "all") -> openai.OpenAI:
        """Make OpenAI's client with a caller's key."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.secrets[caller], max_retries=0)

    def headers(self, caller: str = "all") -> dict[str, str]:
        """Make the header that a caller's key stands in."""
        return {"Authorization": f"Bearer {self.secrets[caller]}"}

    def ask_plug(self, model: str, ask):
        """Call a run's plug, in the thread that owns it."""
        return self.service._models.submit(lambda models: ask(models.by_name[model].plug)).result()


def save_runs(folder: Path, models: Mapping[str, str]) -> ServedPaths:
    """Write a store and the runs; those of one family are trained from different seeds."""
    with make_store(folder / "store.db", encoder_in(models)) as store:
        for at, (name, family) in enumerate(RUNS.items()):
            seed = 0 if name == "copying" else at
            embedder = OURS if name in _ADAPTERS else EmbedderConfig()
            run = make_run(models, family, embedder=embedder, method="tuned-prompt" if name == "tuned" else "plug")
            run = replace(run, adapter=_ADAPTERS.get(name, SharedAdapterConfig(rank=0)))
            run = replace(run, copying=_COPIES) if name == "copying" else run
            plug = build_plug(replace(run, store="../store.db"), TASK, store=store, query_source=QuerySource.STORE)
            as_if_trained(plug, seed=seed).save_pretrained(folder / name)
    return ServedPaths({name: folder / name for name in RUNS}, folder / "store.db")


def copy_of(paths: ServedPaths, folder: Path) -> ServedPaths:
    """Copy what is served, for a test that changes its store."""
    shutil.copytree(paths.store.parent, folder)
    return ServedPaths({name: folder / name for name in paths.runs}, folder / "store.db")


@contextmanager
def running(paths: ServedPaths, folder: Path, *, limits: Limits = LIMITS) -> Iterator[Running]:
    """Serve, in a thread of this process."""
    key_file = KeyFile(folder / "keys.json")
    secrets = {name: key_file.add(name, tenant=tenant, rights=rights) for name, (tenant, rights) in CALLERS.items()}
    service = Service(paths, KeyAccess(key_file), limits=limits)
    service.open()
    with listen_for(service, host="127.0.0.1", port=0) as bound, in_thread(build_server(service), bound) as server:
        yield Running(address_of(bound), service, secrets, key_file, server)
    service.close()


@contextmanager
def in_thread(server: uvicorn.Server, place: socket.socket) -> Iterator[uvicorn.Server]:
    """Run a server in a thread of this process, from when it answers to when it has stopped."""
    thread = threading.Thread(target=server.run, args=([place],))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join()


def wait_for(look, is_there):
    """Look until what is looked for is there, and give it."""
    for _ in range(400):
        if is_there(now := look()):
            return now
        time.sleep(0.02)
    raise AssertionError("it never came")
