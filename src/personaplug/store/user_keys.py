"""Users of a store's file: their ids, and the keys under which the other tables know them."""

from collections.abc import Iterator

from personaplug.errors import UnknownUserError
from personaplug.store.database import Database

USERS_A_PAGE = 1000


def sorted_users(file: Database) -> Iterator[str]:
    """Iterate over the user ids, sorted; users that come or go meanwhile may be among them or not.

    Raises:
        StoreError: The file is damaged.
    """
    page = file.rows("SELECT user_id FROM users ORDER BY user_id LIMIT ?", USERS_A_PAGE)
    while page:
        ids = [user_id for (user_id,) in page]
        if not all(type(user_id) is str for user_id in ids) or ids != sorted(ids):
            raise file.damage()
        yield from ids
        # Page by page, since an unfinished SELECT would keep `forget` from truncating the write-ahead log.
        following = "SELECT user_id FROM users WHERE user_id > ? ORDER BY user_id LIMIT ?"
        page = file.rows(following, ids[-1], USERS_A_PAGE)


def keys_of(file: Database, user_id: str) -> list[int]:
    """Look up a user's key; none where the store holds nothing of the user."""
    return [key for (key,) in file.rows("SELECT key FROM users WHERE user_id = ?", user_id)]


def key_of(file: Database, user_id: str) -> int:
    """Look up a user's key.

    Raises:
        UnknownUserError: The store holds nothing of the user.
    """
    keys = keys_of(file, user_id)
    if not keys:
        raise UnknownUserError(
            f"{file.path}: there is nothing of user {user_id!r}",
            hint=f"who is there: personaplug persona list --store {file.path}",
        )
    return keys[0]


def delete_user(file: Database, user_id: str) -> int:
    """Delete a user with all items, inside the caller's transaction; give the number of items.

    Raises:
        UnknownUserError: The store holds nothing of the user.
    """
    key = key_of(file, user_id)
    file.rows("DELETE FROM users WHERE key = ?", key)
    return file.change("DELETE FROM items WHERE user = ?", [(key,)])
