"""The token that applications show first (docs/protocol/sockets.md, "Tokens").

Over TCP it is a line in front of everything else, the same for every dialect. nym.wire.handshake
finds it in HTTP requests.
"""

import re

from nym._secrets import Secret

PREFIX = b"token "
LONGEST_LINE = 100  # bytes; a line with a token has 71, or 72 with a carriage return
_TOKEN = re.compile(r"[0-9A-Fa-f]{64}")


def parse_token(text: str) -> Secret:
    """The token in 64 hexadecimal digits. Raises ValueError."""
    if not _TOKEN.fullmatch(text):
        raise ValueError("a token has 64 hexadecimal digits")
    return Secret(bytes.fromhex(text))


def format_token(token: Secret) -> str:
    """The token as people and programs write it."""
    return bytes(token).hex()


def may_be_line(data: bytes) -> bool:
    """Whether more bytes could make `data` a line with a token."""
    begins = data.startswith(PREFIX) or PREFIX.startswith(data)
    return begins and b"\n" not in data and len(data) < LONGEST_LINE


def split_line(data: bytes) -> tuple[str | None, bytes]:
    """(what the first line shows as a token, what is behind it); without one, (None, `data`)."""
    if not data.startswith(PREFIX):
        return None, data
    line, _, behind = data.partition(b"\n")
    return line.removeprefix(PREFIX).strip().decode(errors="replace"), behind
