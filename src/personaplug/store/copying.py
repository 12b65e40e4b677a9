"""Copying a store into another, of whatever kind: user by user, each whole or not at all, and compared in the end."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import zip_longest

from personaplug.errors import StoreError, UnknownUserError
from personaplug.records import Profile
from personaplug.store.base import HASH_SIZE, text_hash
from personaplug.store.persona_store import PersonaStore
from personaplug.store.rows import content_hash

ITEMS_AT_ONCE = 1000
"""Items that are stored as one change, about: whole users until there are so many."""

_AGAIN = "if somebody wrote meanwhile, repeat the command; it goes on from what is there"


@dataclass(frozen=True, slots=True)
class Copied:
    """What two stores have in common once one is copied into the other.

    Attributes:
        users: How many.
        items: How many.
        new_items: Those that were not there before.
        digest: A hash of all users' digests, in hexadecimal.
    """

    users: int
    items: int
    new_items: int
    digest: str


def copy(source: PersonaStore, target: PersonaStore, *, progress: Callable[[int], None] = lambda _: None) -> Copied:
    """Copy a store's users into another store, then compare the two; what is there already is not written again.

    One that was killed is finished by the same call.

    Args:
        source: Whose users; it stays as it is.
        target: Of the same layout; it holds nobody else.
        progress: Called with the items copied or found so far, then with the items compared on top of these.

    Raises:
        StoreError: The two differ in the end, or are one store.
    """
    if source.identity == target.identity:
        raise StoreError(f"{target.path} is the store to be copied, or a copy of its file", hint="name another")
    seen = new = 0
    for profiles in _batches(source):
        with target.together():
            new += sum(_copy_user(profile, source, target) for profile in profiles)
        seen += sum(len(profile.items) for profile in profiles)
        progress(seen)
    return _compared(source, target, new_items=new, progress=lambda done: progress(seen + done))


def user_digest(store: PersonaStore, user_id: str) -> bytes:
    """Hash all that a store holds of a user: ids, times, texts, vectors, and their order.

    Raises:
        UnknownUserError: It holds nothing.
    """
    return _digest(store, store.get(user_id))


def _copy_user(profile: Profile, source: PersonaStore, target: PersonaStore) -> int:
    missing = tuple(target.missing(profile.user_id, profile.items))
    if not missing:
        return 0
    return target.append(profile.user_id, missing, source.vectors(Profile(profile.user_id, missing)))


def _batches(source: PersonaStore) -> Iterator[list[Profile]]:
    batch: list[Profile] = []
    for user_id in source.users():
        with suppress(UnknownUserError):  # forgotten meanwhile
            batch.append(source.get(user_id))
        if sum(len(profile.items) for profile in batch) >= ITEMS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _compared(source: PersonaStore, target: PersonaStore, *, new_items: int, progress: Callable[[int], None]) -> Copied:
    digest = blake2b(digest_size=HASH_SIZE)
    users = items = 0
    for user_id, other in zip_longest(source.users(), target.users()):
        if other is None or (user_id is not None and user_id < other):
            raise StoreError(f"{target.path} lacks the user {user_id!r} of {source.path}", hint=_AGAIN)
        if user_id is None or other < user_id:
            hint = "copy into a new store, or forget there who was forgotten here: personaplug persona forget"
            raise StoreError(f"{target.path} holds the user {other!r}, whom {source.path} does not hold", hint=hint)
        profile = source.get(user_id)
        found = _digest(source, profile)
        if found != user_digest(target, user_id):
            hint = f"{_AGAIN}; if it differs still, forget that user there and copy again"
            raise StoreError(f"the user {user_id!r} differs between {source.path} and {target.path}", hint=hint)
        digest.update(text_hash(user_id) + found)
        users, items = users + 1, items + len(profile.items)
        progress(items)
    return Copied(users, items, new_items, digest.hexdigest())


def _digest(store: PersonaStore, profile: Profile) -> bytes:
    digest = blake2b(digest_size=HASH_SIZE)
    for item in profile.items:
        digest.update(text_hash(item.id) + content_hash(item))
    digest.update(store.vectors(profile).tobytes())
    return digest.digest()
