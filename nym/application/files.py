"""Files in messages: a head with a name, then the bytes (docs/protocol/pages.md)."""

import json
import unicodedata
from typing import NamedTuple

MAGIC = b"nym-file 1\n"
LONGEST_HEAD = 1000  # bytes of the line behind it
LONGEST_NAME = 100  # characters
_LONGEST_EXTENSION = 15  # characters that a long name keeps of its end, behind the last dot
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
    """A name for a file, from one that a stranger chose. The client's page makes the same one."""
    last = name.replace("\\", "/").rpartition("/")[2]
    seen = "".join("_" if _is_hidden(character) else character for character in last)
    trimmed = " ".join(seen.split()).strip(". ") or "file"
    return trimmed if len(trimmed) <= LONGEST_NAME else _shortened(trimmed)


def _shortened(name: str) -> str:
    # From their extension, people and programs know what files are.
    _, dot, extension = name.rpartition(".")
    end = dot + extension if dot and len(extension) <= _LONGEST_EXTENSION else ""
    return name[: LONGEST_NAME - len(end)].rstrip(". ") + end


def _is_hidden(character: str) -> bool:
    return character in _REFUSED or unicodedata.category(character) in _UNSEEN
