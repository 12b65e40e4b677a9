"""Texts encoded by processes of a Ray cluster. The only module that imports Ray: the extra ``ray``.

Ray Data hands whole calls of the encoder to actors: what an encoder reads together decides the last bits of its
vectors, so each call is the one that one machine would make, and its result is the same.
"""

import logging
import os
import socket
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow
import ray
import ray.data
from jaxtyping import Float32
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from personaplug.backbone.device import start_torch
from personaplug.embedder.encoder import EncoderConfig, TextEncoder
from personaplug.errors import ClusterError, FingerprintMismatchError, PersonaPlugError
from personaplug.plug.encoders import load_encoder
from personaplug.store.base import text_hash
from personaplug.store.indexing import Encode

log = logging.getLogger(__name__)

_LOST_AT_START = 5
"""Actors in a row that may be lost while they start; those that have begun are started again by Ray's own defaults."""
_SECONDS = 10.0
"""How long the head of a cluster may take to answer."""


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Join a cluster, or start one on this machine that ends with this.

    Args:
        address: ``HOST:PORT`` of the cluster's head, or ``auto`` on a machine of the cluster; None starts one, or takes
            the connection that this process has.

    Raises:
        ClusterError: It cannot be joined or started.
    """
    if address is None and ray.is_initialized():
        yield
        return
    with ExitStack() as settings:
        where = settings.enter_context(_own_cluster()) if address is None else {"address": _checked(address)}
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it tells of errors may hold texts
        try:
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError, RayError) as error:
            raise _not_joined(address or "of this machine", str(error).partition("\n")[0]) from error
        settings.callback(ray.shutdown)
        yield


class RayEncoder:
    """An encoder's verb, for calls that are told beforehand and made in their order.

    A call that was not told is answered on this machine.

    Args:
        calls: Texts of each call; they lie in Ray's object store until they are encoded, on its disk where they are
            many.
        config: The encoder.
        fingerprint: What it must have on each machine.
        actors: How many encode side by side; None for one on each GPU of the cluster, or where there is none, CPU.
        here: The same encoder on this machine.

    Raises:
        ClusterError: The cluster has no room for so many.
    """

    def __init__(
        self,
        calls: Iterable[Sequence[str]],
        *,
        config: EncoderConfig,
        fingerprint: str,
        actors: int | None,
        here: Encode,
    ) -> None:
        self._room = _room(actors)
        self._actor = {"config": _found_anywhere(config), "fingerprint": fingerprint, "on_gpu": self._room.gpus > 0}
        self._here = here
        self._places: dict[bytes, int] = {}
        self._tables = [self._told(texts) for texts in calls]
        self._encoded = self._encode()

    def __call__(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Give what an actor made of a call.

        Raises:
            ClusterError: The call failed, or Ray gave up.
        """
        place = self._places.get(_key(texts))
        if place is None:
            log.info("%d texts are encoded on this machine: they were not foreseen", len(texts))
            return self._here(texts)
        number, made = next(self._encoded)
        while number != place:  # of a call that was told and did not come
            number, made = next(self._encoded)
        return np.frombuffer(made, "<f4").reshape(len(texts), -1)

    def close(self) -> None:
        """Stop encoding what nobody waits for."""
        self._encoded.close()

    def _told(self, texts: Sequence[str]) -> ray.ObjectRef:
        number = self._places.setdefault(_key(texts), len(self._places))
        return ray.put(pyarrow.table({"call": [number], "texts": [list(texts)]}))

    def _encode(self) -> Generator[tuple[int, bytes], None, None]:
        if not self._tables:
            return
        calls = ray.data.from_arrow_refs(self._tables)
        self._tables.clear()
        calls.context.execution_options.preserve_order = True
        calls.context.enable_progress_bars = False  # the command has its own
        calls.context.max_consecutive_actor_init_deaths = _LOST_AT_START
        vectors = calls.map_batches(
            _Actor,
            fn_constructor_kwargs=self._actor,
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=self._room.actors),
            num_cpus=self._room.cpus,
            num_gpus=self._room.gpus,
        )
        try:
            for table in vectors.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=0):
                yield table["call"][0].as_py(), table["vectors"][0].as_py()
        except (RayError, ExecutionTimeoutError) as error:
            raise _failed(error) from error


class _Actor:
    """Encodes one call after the other; its encoder is loaded by the first, where an error is told as it is."""

    def __init__(self, config: EncoderConfig, fingerprint: str, *, on_gpu: bool) -> None:
        self.config, self.fingerprint, self.on_gpu = config, fingerprint, on_gpu

    def __call__(self, calls: pyarrow.Table) -> pyarrow.Table:
        vectors = [self.encoder.encode(texts).numpy().astype("<f4").tobytes() for texts in calls["texts"].to_pylist()]
        return pyarrow.table({"call": calls["call"], "vectors": pyarrow.array(vectors, pyarrow.large_binary())})

    @cached_property
    def encoder(self) -> TextEncoder:
        device = start_torch()
        encoder = load_encoder(self.config, like=self.fingerprint, device=device if self.on_gpu else "cpu")
        if encoder.fingerprint != self.fingerprint:
            raise FingerprintMismatchError(
                f"a machine of the cluster has encoder {encoder.fingerprint!r}, not {self.fingerprint!r}",
                hint="put the same model on each machine",
            )
        return encoder


@dataclass(frozen=True, slots=True)
class _Room:
    """How many actors, and how much of a machine each of them takes."""

    actors: int
    cpus: int
    gpus: int


def _room(actors: int | None) -> _Room:
    has = ray.cluster_resources()
    gpus, cpus = int(has.get("GPU", 0)), int(has.get("CPU", 0))
    most, unit = (gpus, "GPU") if gpus else (cpus, "CPU")
    if not most or (actors or 1) > most:
        raise ClusterError(
            f"the cluster has {most} {unit}s, one for each encoder, too few for {actors or 1}",
            hint=f"at most --ray-actors {most}" if most else "add a machine to it",
        )
    return _Room(actors or most, cpus=1, gpus=min(gpus, 1))


@contextmanager
def _own_cluster() -> Iterator[dict[str, object]]:
    """Give what starts a cluster on this machine, whose files (texts are among them) are gone in the end."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Not in TMPDIR, which may be long: sockets stand in it, whose paths have at most 107 characters.
    with TemporaryDirectory(prefix="personaplug-ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield {
            "address": "local",
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
            "_temp_dir": folder,
            "_system_config": {"worker_niceness": 0},  # by Ray's own way whatever else runs here comes first
        }


def _checked(address: str) -> str:
    """Refuse an address where nothing answers: Ray itself would try for minutes."""
    if address == "auto":
        return address
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdecimal():
        raise ClusterError(
            f"{address!r} is no address of a Ray cluster",
            hint="HOST:PORT of its head, or auto; --ray alone stands behind LOG, or before another option",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _not_joined(address, str(error)) from error
    return address


def _not_joined(address: str, reason: str) -> ClusterError:
    return ClusterError(
        f"the Ray cluster {address} cannot be joined: {reason}",
        hint="see `ray status` on its head, and whether it wants a token: export RAY_AUTH_MODE=token",
    )


def _failed(error: BaseException) -> PersonaPlugError:
    """Make the error that a person sees: ours as it is; of others the kind alone, as texts may stand in them."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, PersonaPlugError):
            return ClusterError(f"a machine of the cluster cannot encode: {cause}", hint=cause.hint)
    kinds = " from ".join(type(cause).__name__ for cause in causes)
    return ClusterError(
        f"the cluster cannot encode: {kinds}", hint="what was stored stays; the same command goes on from there"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or error.__cause__


def _found_anywhere(config: EncoderConfig) -> EncoderConfig:
    """Name a folder by its whole path: actors stand in other folders."""
    folder = Path(config.model)
    return replace(config, model=str(folder.absolute())) if folder.exists() else config


def _key(texts: Sequence[str]) -> bytes:
    return blake2b(b"".join(map(text_hash, texts)), digest_size=16).digest()
