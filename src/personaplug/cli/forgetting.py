"""``personaplug persona forget --also``: what else holds a user's texts."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from personaplug.cli.screen import counted
from personaplug.errors import UnknownUserError
from personaplug.methods.text_profile import folder_of as profile_folder
from personaplug.rivals.user_lora.adapter_folder import AdapterFolder
from personaplug.store.copies import Copy, Search, remove_own
from personaplug.store.persona_store import PersonaStore


def copies_of(users: Sequence[str], store: PersonaStore, places: Sequence[Path]) -> list[Copy]:
    """Look for the users in files and folders, but not in the store itself, by what the store holds of them."""
    searches = [_search(user, held=held_of([user], store), store=store) for user in dict.fromkeys(users)]
    found = (copy for search in searches for place in places for copy in search.below(place))
    own = store.own_files()
    return [copy for copy in counted(found, "copies found") if own.isdisjoint(_with_parents(copy.path.resolve()))]


def held_of(users: Sequence[str], store: PersonaStore) -> list[str]:
    """Pick the users of whom the store holds anything."""
    held = []
    for user in users:
        with suppress(UnknownUserError):
            held.append(store.summary(user).user_id)
    return held


def remove(copies: Sequence[Copy]) -> list[Copy]:
    """Delete the folders that hold one user's alone, and give them."""
    own = [copy for copy in copies if copy.is_own]
    for copy in own:
        remove_own(copy.path)
    return own


def in_words(copy: Copy) -> str:
    """Say what a place holds."""
    if copy.is_own:
        return "the user's own folder"
    if copy.is_closed:
        return "cannot be looked into"
    return " and ".join(_parts(copy))


def _with_parents(path: Path) -> set[Path]:
    return {path, *path.parents}


def _parts(copy: Copy) -> Iterator[str]:
    if copy.has_id:
        yield "the user's id"
    if copy.texts:
        yield f"{copy.texts:,} of the user's texts"


def _search(user: str, *, held: Sequence[str], store: PersonaStore) -> Search:
    items = [item for known in held for item in store.get(known).items]
    texts = [text for item in items for text in (item.input, item.output)]
    name = user.split("\x1f")[-1]  # of a tenant's user
    return Search(name, texts, [AdapterFolder(Path()).folder_of(user).name, profile_folder(user)])
