"""Users of a store: their ids, and the keys under which the other tables know them."""

from collections.abc import Iterator
from shlex import quote

from personaplug.errors import UnknownUserError
from personaplug.store.tables import Tables

USERS_A_PAGE = 1000


def sorted_users(tables: Tables) -> Iterator[str]:
    """Iterate over the user ids, sorted; users that come or go meanwhile may be among them or not.

    Raises:
        StoreError: The tables are damaged.
    """
    page = tables.rows("SELECT user_id FROM users ORDER BY user_id LIMIT ?", USERS_A_PAGE)
    while page:
        ids = [user_id for (user_id,) in page]
        if not all(type(user_id) is str for user_id in ids) or ids != sorted(ids):
            raise tables.damage()
        yield from ids
        # Page by page, since an unfinished SELECT would keep `forget` from truncating the write-ahead log.
        following = "SELECT user_id FROM users WHERE user_id > ? ORDER BY user_id LIMIT ?"
        page = tables.rows(following, ids[-1], USERS_A_PAGE)


def keys_of(tables: Tables, user_id: str) -> list[int]:
    """Look up a user's key; none where the store holds nothing of the user."""
    return [key for (key,) in tables.rows("SELECT key FROM users WHERE user_id = ?", user_id)]


def key_of(tables: Tables, user_id: str) -> int:
    """Look up a user's key.

    Raises:
        UnknownUserError: The store holds nothing of the user.
    """
    keys = keys_of(tables, user_id)
    if not keys:
        raise UnknownUserError(
            f"{tables.path}: there is nothing of user {user_id!r}",
            hint=f"who is there: personaplug persona list --store {quote(str(tables.path))}",
        )
    return keys[0]


def key_for(tables: Tables, user_id: str) -> int:
    """Give a user's key, made where there is none; for use inside a transaction."""
    if keys := keys_of(tables, user_id):
        return keys[0]
    tables.add_user(user_id)
    return key_of(tables, user_id)


def delete_user(tables: Tables, user_id: str) -> int:
    """Delete a user with all items, inside the caller's transaction; give the number of items.

    Raises:
        UnknownUserError: The store holds nothing of the user.
    """
    key = key_of(tables, user_id)
    gone = tables.change('DELETE FROM items WHERE "user" = ?', [(key,)])
    tables.rows("DELETE FROM users WHERE key = ?", key)  # last: in Postgres who may see an item is who sees its user
    return gone
