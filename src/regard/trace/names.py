"""Names of files that every system can write."""

import re
from collections.abc import Iterable

LONGEST = 50
"""Letters of a name: file systems take 255 bytes, and a letter may be four of them."""

RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])", re.I)
"""What Windows takes for a device, whatever ending stands behind it."""


def file_names(words: Iterable[str]) -> dict[str, str]:
    """A file name for each word that every system can write, no two alike.

    Letters, digits and a few signs stay; what is left differs in more than capitals, names no
    device, and neither begins nor ends with a dot or a blank.

    Args:
        words: In the order of the names; a word that comes twice has one name.

    Example:
        >>> file_names(["cat", "Cat", "cat#2", "1/2", "?", "!", "con"])
        {'cat': 'cat', 'Cat': 'Cat-2', 'cat#2': 'cat#2', '1/2': '1_2', '?': '_', '!': '_-2', \
'con': 'con_'}
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for word in words:
        if word in names:
            continue
        stem = re.sub(r"[^\w#'’-]", "_", word)[:LONGEST] or "_"
        stem = f"{stem}_" if RESERVED.fullmatch(stem) else stem
        name, count = stem, 1
        while same(name) in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(same(name))
        names[word] = name
    return names


def same(name: str) -> str:
    """What two names have in common that some file system takes for one.

    Example:
        >>> same("\u00c9t\u00e9") == same("e\u0301TE\u0301")
        True
    """
    from unicodedata import normalize

    return normalize("NFKD", normalize("NFKD", name).casefold())
