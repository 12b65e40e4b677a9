"""Names for people in a log that do not tell who they are."""

import hashlib


def pseudonym(address: str) -> str:
    """Hash an e-mail address to 12 hexadecimal digits.

    User ids stand in stores, reports and URLs, where an address has no business; the same address always gives the same
    id, whatever its case. It is no anonymity: whoever knows an address can compute its id.

    Raises:
        ValueError: The address is blank: all who have none would be one person.
    """
    if not address.strip():
        raise ValueError("a blank address is nobody's")
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()[:12]
