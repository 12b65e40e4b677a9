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
from personaplug.store.seen import SeenItems, SeenTexts

Encode = Callable[[Sequence[str]], Float32[np.ndarray, "texts dim"]]
Vectors = Mapping[bytes, Float[np.ndarray, " dim"]]

BATCH_TEXTS = 1024
"""Texts gathered for an encoder, where nothing else is said."""


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
    batch_texts: int = BATCH_TEXTS,
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
        for batch in _batches(interactions, _rows_of(batch_texts, store)):
            counts += _index_batch(batch, store, seen, encode=encode, sources=(store, *reuse) if is_shared else reuse)
            if progress is not None:
                progress(counts)
    return counts


def texts_to_encode(
    interactions: Iterable[LogRow],
    store: PersonaStore,
    *,
    batch_texts: int = BATCH_TEXTS,
    reuse: Sequence[PersonaStore] = (),
) -> Iterator[list[str]]:
    """Say which texts :func:`index` will give its encoder, call by call, while nothing is encoded or stored.

    So others may begin to encode them. It holds as long as nobody writes into the store, and the log replaces no item
    whose text comes again later: then one of the calls has more texts.

    Raises:
        RepeatedIdError: Two different rows of a user have one id.
    """
    with SeenItems() as seen, SeenTexts() as told:
        for rows in _batches(interactions, _rows_of(batch_texts, store)):
            texts = _sort(rows, store, seen).texts
            unseen = _unseen(texts, _look_up(texts, (store, *reuse)))
            if new := [text for key, text in unseen.items() if told.is_new(key)]:
                yield new


def check_ids(interactions: Iterable[LogRow]) -> None:
    """Read a log to its end, so that what :func:`index` would stop at is known before anything is stored.

    Raises:
        RepeatedIdError: Two different rows of a user have one id.
    """
    with SeenItems() as seen:
        for row in interactions:
            if row.has_output:
                seen.is_new(row.user_id, row.item)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows that are stored together.

    Attributes:
        rows: How many.
        asked: How many of them have no output.
        answered: How many of the others are the first of their user and id.
        missing: Whose items the store does not hold as they are.
        texts: What the encoder reads of those, one after the other.
    """

    rows: int
    asked: int
    answered: int
    missing: Mapping[str, Sequence[HistoryItem]]
    texts: Sequence[str]


def _sort(rows: Sequence[LogRow], store: PersonaStore, seen: SeenItems) -> _Batch:
    asked = sum(not row.has_output for row in rows)
    answered = [row for row in rows if row.has_output and seen.is_new(row.user_id, row.item)]
    missing = {user: store.missing(user, items) for user, items in _by_user(answered).items()}
    texts = [text for items in missing.values() for item in items for text in store.layout.texts(item) if text]
    return _Batch(len(rows), asked, len(answered), missing, texts)


def _index_batch(
    rows: Sequence[LogRow], store: PersonaStore, seen: SeenItems, *, encode: Encode, sources: Sequence[PersonaStore]
) -> IndexCounts:
    batch = _sort(rows, store, seen)
    found = _look_up(batch.texts, sources)
    unseen = _unseen(batch.texts, found)
    vectors = {**found, **_encode(unseen, encode, layout=store.layout)}
    with store.together():
        new = sum(
            store.append(user, items, _stack(items, vectors, layout=store.layout))
            for user, items in batch.missing.items()
            if items
        )
    return IndexCounts(
        rows=batch.rows,
        new_items=new,
        encoded_texts=len(unseen),
        reused_texts=len(batch.texts) - len(unseen),
        skipped_existing=batch.answered - sum(map(len, batch.missing.values())),
        repeated_rows=batch.rows - batch.asked - batch.answered,
        skipped_questions=batch.asked,
    )


def _rows_of(batch_texts: int, store: PersonaStore) -> int:
    return max(1, batch_texts // len(store.layout.views))


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


def _unseen(texts: Iterable[str], found: Vectors) -> dict[bytes, str]:
    hashed = ((text_hash(text), text) for text in texts)
    return {key: text for key, text in hashed if key not in found}


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
