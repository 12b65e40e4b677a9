"""Index a log: encode what is new in it into a store."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from personaplug.backbone.device import start_torch
from personaplug.data.log import read_log
from personaplug.embedder.encoder import EncoderConfig
from personaplug.plug.encoders import encode_with, encoder_config, load_encoder
from personaplug.store.address import Address
from personaplug.store.base import StoreLayout
from personaplug.store.indexing import IndexCounts, check_ids
from personaplug.store.indexing import index as index_rows
from personaplug.store.opening import is_taken
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import load_task
from personaplug.workflows.progress import SILENT, Progress, counted


def index(
    log: Path,
    task_name: str,
    *,
    store_path: Address,
    encoder: str | EncoderConfig = "minilm",
    published_views: bool = False,
    reuse: Iterable[Address] = (),
    progress: Progress = SILENT,
) -> IndexCounts:
    """Index a log into a store; nothing is stored of a log that is refused.

    Args:
        log: The log. It is read twice, unless it is a pipe.
        task_name: A built-in task or a .toml file.
        store_path: The store; made if absent.
        encoder: minilm, a Hugging Face name, or a folder; or a language model, whose own states are then the vectors.
            Settings where the name's own are not wanted.
        published_views: Read of an item what the preset ``paper`` reads.
        reuse: Stores of the same encoder; a text that one holds is not encoded.
        progress: Shows how far it is, and hears of rows that cannot be read.

    Raises:
        DataError: The log has a bad row, or two rows of one id.
        FingerprintMismatchError: The store's vectors are another encoder's or task's.
        ConfigError: No such encoder is at hand, or it has no such layer.
    """
    task = load_task(task_name)
    task = task.as_published() if published_views else task
    rows = read_log(log, task, on_bad=progress.bad_row)
    if log.is_file():  # and no pipe, which can be read once
        check_ids(counted(rows, "check", progress=progress))
        rows = read_log(log, task, on_bad=lambda _: None)  # bad rows have been told of
    wanted = encoder_config(encoder) if isinstance(encoder, str) else encoder
    reader = load_encoder(wanted, like=_fingerprint_in(store_path), device=start_torch())
    with ExitStack() as opened:
        others = [opened.enter_context(PersonaStore.open(path)) for path in reuse]
        layout = StoreLayout(reader.fingerprint, task.views, reader.dim)
        store = opened.enter_context(PersonaStore.open(store_path, layout=layout))
        advance = opened.enter_context(progress.bar("index"))
        began = perf_counter()
        return index_rows(
            rows,
            store,
            encode=encode_with(reader),
            reuse=others,
            progress=lambda now: advance(now.rows, _rate(now.encoded_texts, perf_counter() - began)),
        )


def _fingerprint_in(path: Address) -> str:
    """Read which encoder made a store's vectors; empty where there is no store yet."""
    if not is_taken(path):
        return ""
    with PersonaStore.open(path) as store:
        return store.layout.fingerprint


def _rate(texts: int, seconds: float) -> str:
    return f"{texts:,} texts encoded, {texts / seconds:,.0f} a second"
