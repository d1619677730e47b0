"""Files in messages: a head with a name, then the bytes (docs/protocol/pages.md)."""

import json
import unicodedata
from typing import NamedTuple

MAGIC = b"nym-file 1\n"
LONGEST_HEAD = 1000  # bytes of the line behind it
LONGEST_NAME = 100  # characters
_REFUSED = frozenset('<>:"|?*')  # by some file systems
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # categories of Unicode; "Cf" turns text round


class File(NamedTuple):
    """A file that came in a message.

    The `name` leads into no folder, hides nothing and doesn't begin with a dot. Two files can have
    the same name.
    """

    name: str
    data: bytes


def head(name: str) -> bytes:
    """What stands before the bytes of a file with this name."""
    # Not escaped, so that a hundred characters always fit into LONGEST_HEAD.
    described = json.dumps({"name": harmless(name)}, ensure_ascii=False)
    return MAGIC + described.encode() + b"\n"


def parse(message: bytes) -> File | None:
    """The file in a message; None if it has none."""
    if not message.startswith(MAGIC):
        return None
    end = message.find(b"\n", len(MAGIC), len(MAGIC) + LONGEST_HEAD)
    if end < 0:
        return None
    try:
        described = json.loads(message[len(MAGIC) : end])
    except (ValueError, RecursionError):
        return None
    name = described.get("name") if isinstance(described, dict) else None
    return File(harmless(name), message[end + 1 :]) if isinstance(name, str) else None


def harmless(name: str) -> str:
    """A name for a file, from one that a stranger chose."""
    last = name.replace("\\", "/").rpartition("/")[2]
    seen = "".join("_" if _is_hidden(character) else character for character in last)
    return " ".join(seen.split())[:LONGEST_NAME].strip(". ") or "file"


def _is_hidden(character: str) -> bool:
    return character in _REFUSED or unicodedata.category(character) in _UNSEEN
