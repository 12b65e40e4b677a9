"""Index a log: encode what is new in it into a store."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from types import ModuleType

from personaplug.backbone.device import start_torch
from personaplug.data.log import Interaction, read_log
from personaplug.data.log_url import LogAddress, LogUrl
from personaplug.embedder.encoder import EncoderConfig
from personaplug.errors import DataError
from personaplug.plug.encoders import encode_with, encoder_config, load_encoder
from personaplug.store.address import Address
from personaplug.store.base import StoreLayout
from personaplug.store.indexing import IndexCounts, check_ids, texts_to_encode
from personaplug.store.indexing import index as index_rows
from personaplug.store.opening import is_taken
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Task, load_task
from personaplug.workflows.cluster import RayCluster, on_ray
from personaplug.workflows.progress import SILENT, Progress, counted

_TO_FILE = "write it to a file first: cat > log.jsonl"


def index(  # noqa: PLR0913 (what is read, where it goes, and who encodes it)
    log: LogAddress,
    task_name: str,
    *,
    store_path: Address,
    encoder: str | EncoderConfig = "minilm",
    published_views: bool = False,
    reuse: Iterable[Address] = (),
    ray: RayCluster | None = None,
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
        ray: Which machines encode; None for this one alone. The store is the same to the bit.
        progress: Shows how far it is, and hears of rows that cannot be read.

    Raises:
        DataError: The log has a bad row, or two rows of one id; or it is a pipe, and others are to encode.
        FingerprintMismatchError: The store's vectors are another encoder's or task's.
        ConfigError: No such encoder is at hand, or it has no such layer.
        ClusterError: The cluster cannot be joined, or cannot encode.
        MissingExtraError: Others are to encode, and Ray is not installed.
    """
    task = load_task(task_name)
    task = task.as_published() if published_views else task
    source = _Source(log, task, progress)
    config = encoder_config(encoder) if isinstance(encoder, str) else encoder
    with ExitStack() as opened:
        if ray:
            source.check_can_repeat()
            opened.enter_context(_ray("ray_connection").connected(ray.address))
        else:
            source.check()
        reader = load_encoder(config, like=_fingerprint_in(store_path), device=start_torch())
        layout = StoreLayout(reader.fingerprint, task.views, reader.dim)
        others = [opened.enter_context(PersonaStore.open(path)) for path in reuse]
        encode = encode_with(reader)
        if ray:
            calls = _calls(source, store_path, layout=layout, reuse=others)
            encode = _ray("ray_encoding").RayEncoder(
                calls, config=config, fingerprint=layout.fingerprint, actors=ray.actors, here=encode
            )
            opened.callback(encode.close)
        store = opened.enter_context(PersonaStore.open(store_path, layout=layout))
        advance = opened.enter_context(progress.bar("index", total=source.total))
        began = perf_counter()
        return index_rows(
            source.rows(),
            store,
            encode=encode,
            reuse=others,
            progress=lambda now: advance(now.rows, _rate(now.encoded_texts, perf_counter() - began)),
        )


class _Source:
    """A log that is read once to be checked, then to be stored; a pipe the second time alone.

    Attributes:
        total: How many rows the first reading found.
    """

    def __init__(self, log: LogAddress, task: Task, progress: Progress) -> None:
        self.log, self.task, self.progress = log, task, progress
        self.total: int | None = None

    def check_can_repeat(self) -> None:
        if isinstance(self.log, Path) and self.log.is_fifo():
            raise DataError("is a pipe, which is read once, and --ray reads a log twice", path=self.log, hint=_TO_FILE)

    def check(self) -> None:
        if isinstance(self.log, LogUrl) or self.log.is_file():
            check_ids(self.first_rows())

    def first_rows(self) -> Iterator[Interaction]:
        total = 0
        rows = read_log(self.log, self.task, on_bad=self.progress.bad_row)
        for row in counted(rows, "check", progress=self.progress):
            total += 1
            yield row
        self.total = total

    def rows(self) -> Iterator[Interaction]:
        if self.total is None:
            return read_log(self.log, self.task, on_bad=self.progress.bad_row)
        return read_log(self.log, self.task, on_bad=lambda _: None)  # bad rows have been told of


def _calls(
    source: _Source, store_path: Address, *, layout: StoreLayout, reuse: Sequence[PersonaStore]
) -> Iterator[list[str]]:
    """Foresee the encoder's calls; a store that is not there is not made, as the log may be refused."""
    is_there = is_taken(store_path)
    with PersonaStore.open(store_path, layout=layout) if is_there else PersonaStore.in_memory(layout) as store:
        yield from texts_to_encode(source.first_rows(), store, reuse=reuse)


def _ray(module: str) -> ModuleType:
    return on_ray(module, feature="encoding on a Ray cluster")


def _fingerprint_in(path: Address) -> str:
    """Read which encoder made a store's vectors; empty where there is no store yet."""
    if not is_taken(path):
        return ""
    with PersonaStore.open(path) as store:
        return store.layout.fingerprint


def _rate(texts: int, seconds: float) -> str:
    return f"{texts:,} texts encoded, {texts / seconds:,.0f} a second"
