"""Ids of users and items, as logs write them: two that differ stay two, and what two may have become one is refused.

=====================================  ===================================================================
in the log                             the id
=====================================  ===================================================================
text                                   that text, sign by sign: blanks, case and Unicode forms stay
a whole number                         its digits
a whole float below 2**53              its digits: pandas makes floats of whole numbers beside a missing one
null, NaN, or empty                    none: a row needs a user; an item's id is then made of its content
=====================================  ===================================================================

Refused are larger floats (their last digits are lost), fractions, true and false. As a user's id are refused, too,
control characters, numbers as spreadsheets shorten them (7.65612E+16), in CSV numbers with a point (1.0), and the words
with which programs write that there is none (NaN). Users whose ids merely look alike are counted by the audit.
"""

import math
import re

from personaplug.data.rows import Row

LONGEST_ID = 512
_MOST_EXACT = 2**53  # from here on a float may stand for its neighbour
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Unicode's category Cc, as the server refuses
_SHORTENED = re.compile(r"-?[0-9](\.[0-9]+)?[eE]\+[0-9]+")  # with a plus, or ids in hexadecimal digits would be, too
_POINTED = re.compile(r"-?[0-9]+\.0+")
_NOBODY = frozenset({"nan", "NaN", "NaT", "None", "null", "NULL", "<NA>", "undefined"})


def read_id(row: Row, column: str) -> str | None:
    """Read the id in a column; None where the column is absent, null or empty.

    Raises:
        DataError: It is not surely one.
    """
    value = row.values.get(column)
    if isinstance(value, bool):
        raise row.error(f"the {column} is {str(value).lower()}", hint="is it the right column?")
    if isinstance(value, float) and math.isfinite(value):
        return _digits(row, column, value)
    text = "" if value != value else row.text(column) or ""  # NaN is how pandas writes that there is none
    if len(text) > LONGEST_ID:
        name = f"{'an' if column == 'id' else 'a'} {column}"
        raise row.error(f"{name} of {len(text):,} characters", hint=f"at most {LONGEST_ID}: is it the right column?")
    return text or None


def read_user(row: Row) -> str:
    """Read whose a row is.

    Raises:
        DataError: It is not surely told.
    """
    user_id = read_id(row, "user_id") or ""
    if not user_id.strip():
        raise row.lacks("user_id")
    if user_id in _NOBODY:
        hint = "a program writes this where it knows no user: leave the row out, or name the user otherwise"
        raise row.error(f"the user_id is {user_id!r}", hint=hint)
    if control := _CONTROL.search(user_id):
        hint = "no id of a user has one: they part a server's tenants from their users, and steer terminals"
        raise row.error(f"the user_id holds the control character U+{ord(control[0]):04X}", hint=hint)
    if _SHORTENED.fullmatch(user_id):
        hint = "the last digits are lost, and several users may have become one: write all digits"
        raise row.error(f"the user_id {user_id!r:.40} is a number that a program has shortened", hint=hint)
    if _POINTED.fullmatch(user_id) and row.path.name.lower().removesuffix(".gz").endswith(".csv"):
        hint = "write whole numbers without a point; in pandas: table['user_id'] = table['user_id'].astype('Int64')"
        raise row.error(f"the user_id {user_id!r:.40} is a number with a point", hint=hint)
    return user_id


def _digits(row: Row, column: str, number: float) -> str:
    if not number.is_integer():
        hint = "is it the right column? If so, write it as text"
        raise row.error(f"the {column} {number!r} has a fraction", hint=hint)
    if abs(number) >= _MOST_EXACT:
        hint = "the last digits are lost, and several ids may have become one: write it as text or int64"
        raise row.error(f"the {column} {number!r} is a float above 2**53", hint=hint)
    return str(int(number))
