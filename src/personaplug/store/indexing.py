"""Filling a store from a log: each text is encoded once, whoever wrote it, and a batch is safe once it is done."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float16, Float32

from personaplug.errors import FingerprintMismatchError, StoreError
from personaplug.records import HistoryItem
from personaplug.store.base import StoreLayout, text_hash
from personaplug.store.persona_store import PersonaStore
from personaplug.store.seen import SeenItems

Encode = Callable[[Sequence[str]], Float32[np.ndarray, "texts dim"]]
Vectors = Mapping[bytes, Float[np.ndarray, " dim"]]


@runtime_checkable
class LogRow(Protocol):
    """What indexing needs of a log's row."""

    @property
    def user_id(self) -> str:
        """Whose it is."""

    @property
    def item(self) -> HistoryItem:
        """What they did."""

    @property
    def has_output(self) -> bool:
        """False for a question whose answer is not known: it is no history."""


@dataclass(frozen=True, slots=True)
class IndexCounts:
    """What an indexing run has done.

    Attributes:
        rows: Rows read.
        new_items: Items stored, new or changed.
        encoded_texts: Texts given to the encoder.
        reused_texts: Texts whose vector was found, in this store or another, or made for an equal text of the batch.
        skipped_existing: Rows whose item was stored already as it is, before this run.
        repeated_rows: Rows that equal an earlier row of the log, id and all.
        skipped_questions: Rows without an output.
    """

    rows: int = 0
    new_items: int = 0
    encoded_texts: int = 0
    reused_texts: int = 0
    skipped_existing: int = 0
    repeated_rows: int = 0
    skipped_questions: int = 0

    def __add__(self, other: "IndexCounts") -> "IndexCounts":
        return IndexCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def index(
    interactions: Iterable[LogRow],
    store: PersonaStore,
    *,
    encode: Encode,
    batch_texts: int = 1024,
    reuse: Sequence[PersonaStore] = (),
    is_shared: bool = True,
    progress: Callable[[IndexCounts], None] | None = None,
) -> IndexCounts:
    """Store a log's items with their vectors, encoding only texts that the store has not seen.

    A batch is stored as a whole or not at all, and a log's batches are the same in every run. So a run that is killed
    and repeated ends with the same store as an uninterrupted one, to the bit, even where an encoder's last bits depend
    on which texts it reads together.

    Args:
        interactions: The log, read as a stream.
        store: Where the items go; its layout says which texts of an item are encoded.
        encode: The encoder of the store's fingerprint, unit vectors out.
        batch_texts: How many texts are gathered for the encoder; after so many the work is safe.
        reuse: Other stores of the same encoder whose vectors may be taken.
        is_shared: Whether a text that the store holds, whoever's it is, is taken from there. False for users who
            must not learn of one another, be it from how long it takes or from a vector's last bits.
        progress: Called with the counts so far after each batch.

    Raises:
        FingerprintMismatchError: A store in ``reuse`` is of another encoder.
        RepeatedIdError: Two different rows of a user have one id; batches before the second are stored by then.
        StoreError: The encoder's vectors do not fit, or the file cannot be written.
    """
    for other in reuse:
        _check_same_encoder(store, other)
    counts = IndexCounts()
    with SeenItems() as seen:
        for batch in _batches(interactions, max(1, batch_texts // len(store.layout.views))):
            counts += _index_batch(batch, store, seen, encode=encode, sources=(store, *reuse) if is_shared else reuse)
            if progress is not None:
                progress(counts)
    return counts


def check_ids(interactions: Iterable[LogRow]) -> None:
    """Read a log to its end, so that what :func:`index` would stop at is known before anything is stored.

    Raises:
        RepeatedIdError: Two different rows of a user have one id.
    """
    with SeenItems() as seen:
        for row in interactions:
            if row.has_output:
                seen.is_new(row.user_id, row.item)


def _index_batch(
    batch: Sequence[LogRow], store: PersonaStore, seen: SeenItems, *, encode: Encode, sources: Sequence[PersonaStore]
) -> IndexCounts:
    asked = sum(not row.has_output for row in batch)
    answered = [row for row in batch if row.has_output and seen.is_new(row.user_id, row.item)]
    missing = {user: store.missing(user, items) for user, items in _by_user(answered).items()}
    texts = [text for items in missing.values() for item in items for text in store.layout.texts(item) if text]
    found = _look_up(texts, sources)
    unseen = {text_hash(text): text for text in texts if text_hash(text) not in found}
    vectors = {**found, **_encode(unseen, encode, layout=store.layout)}
    with store.together():
        new = sum(
            store.append(user, items, _stack(items, vectors, layout=store.layout))
            for user, items in missing.items()
            if items
        )
    return IndexCounts(
        rows=len(batch),
        new_items=new,
        encoded_texts=len(unseen),
        reused_texts=len(texts) - len(unseen),
        skipped_existing=len(answered) - sum(map(len, missing.values())),
        repeated_rows=len(batch) - asked - len(answered),
        skipped_questions=asked,
    )


def _batches(rows: Iterable[LogRow], size: int) -> Iterator[list[LogRow]]:
    stream = iter(rows)
    while batch := list(islice(stream, size)):
        yield batch


def _by_user(rows: Iterable[LogRow]) -> dict[str, list[HistoryItem]]:
    items: dict[str, list[HistoryItem]] = {}
    for row in rows:
        items.setdefault(row.user_id, []).append(row.item)
    return items


def _look_up(texts: Iterable[str], sources: Sequence[PersonaStore]) -> Vectors:
    wanted = {text_hash(text) for text in texts}
    found: dict[bytes, Float16[np.ndarray, " dim"]] = {}
    for source in sources:
        found |= source.known(list(wanted - found.keys()))
    return found


def _encode(unseen: Mapping[bytes, str], encode: Encode, *, layout: StoreLayout) -> Vectors:
    if not unseen:
        return {}
    vectors = encode(list(unseen.values()))
    if vectors.shape != (len(unseen), layout.dim):
        raise StoreError(f"the encoder gave vectors of shape {vectors.shape}, not {(len(unseen), layout.dim)}")
    return dict(zip(unseen, vectors, strict=True))


def _stack(
    items: Sequence[HistoryItem], vectors: Vectors, *, layout: StoreLayout
) -> Float32[np.ndarray, "items views dim"]:
    empty = np.zeros(layout.dim, np.float32)
    stacks = [[vectors[text_hash(text)] if text else empty for text in layout.texts(item)] for item in items]
    return np.array(stacks, np.float32).reshape(len(items), len(layout.views), layout.dim)


def _check_same_encoder(store: PersonaStore, other: PersonaStore) -> None:
    ours, theirs = store.layout, other.layout
    if (ours.fingerprint, ours.dim) != (theirs.fingerprint, theirs.dim):
        raise FingerprintMismatchError(
            f"{other.path}: made by encoder {theirs.fingerprint!r}, not by {ours.fingerprint!r}",
            hint="leave this store out of --reuse",
        )
