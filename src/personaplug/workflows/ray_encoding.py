"""Texts encoded by processes of a Ray cluster.

Ray Data hands whole calls of the encoder to actors: what an encoder reads together decides the last bits of its
vectors, so each call is the one that one machine would make, and its result is the same.
"""

import logging
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

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
from personaplug.workflows.ray_connection import causes, room_for

log = logging.getLogger(__name__)

_LOST_AT_START = 5
"""Actors in a row that may be lost while they start; those that have begun are started again by Ray's own defaults."""


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
        self._room = room_for(actors, each="encoder", option="--ray-actors")
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


def _failed(error: BaseException) -> PersonaPlugError:
    """Make the error that a person sees: ours as it is; of others the kind alone, as texts may stand in them."""
    behind = list(causes(error))
    for cause in behind:
        if isinstance(cause, PersonaPlugError):
            return ClusterError(f"a machine of the cluster cannot encode: {cause}", hint=cause.hint)
    kinds = " from ".join(type(cause).__name__ for cause in behind)
    return ClusterError(
        f"the cluster cannot encode: {kinds}", hint="what was stored stays; the same command goes on from there"
    )


def _found_anywhere(config: EncoderConfig) -> EncoderConfig:
    """Name a folder by its whole path: actors stand in other folders."""
    folder = Path(config.model)
    return replace(config, model=str(folder.absolute())) if folder.exists() else config


def _key(texts: Sequence[str]) -> bytes:
    return blake2b(b"".join(map(text_hash, texts)), digest_size=16).digest()
