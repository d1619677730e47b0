"""What values settings can have. Each check raises ValueError, with the reason."""

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import urlsplit

from nym.wire.addresses import UNIX, bare_host, is_ipv6
from nym.wire.keys import decode_base58
from nym.wire.origins import parse_origin
from nym.wire.sizes import MOST_LAYERS

LONGEST_ID = 100
MOST_CONNECTIONS = 100_000
LONGEST_NAME = 255  # bytes, of a folder
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
FORMATS = ("text", "json")


def check_id(value: str) -> None:
    """An id names a folder."""
    if value in (".", ".."):
        raise ValueError(f"an id is the name of a folder, and {value} is another one already")
    if not 0 < len(value) <= LONGEST_ID or value.startswith("-"):
        raise ValueError(f"an id has 1 to {LONGEST_ID} characters and doesn't begin with -")
    if len(value.encode(errors="replace")) > LONGEST_NAME:
        raise ValueError(f"an id has at most {LONGEST_NAME} bytes")
    if not value.isprintable() or "/" in value:
        raise ValueError("an id is the name of a folder: no / and no control characters")


def check_directory(value: str) -> None:
    """An HTTP address."""
    if not value.isprintable() or " " in value:
        raise ValueError("an address has no white space and no control characters")
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("a directory is an address such as https://directory.example")
    if url.port == 0 or url.query or url.fragment:  # .port raises ValueError beyond 65535
        raise ValueError("a directory's address has a host, a port and a path, nothing else")


def check_directory_or_none(value: str) -> None:
    """An HTTP address, or nothing: then none is named."""
    if value:
        check_directory(value)


def check_key(value: str) -> None:
    """A key in base58."""
    decode_base58(value)


def check_provider(value: str) -> None:
    """A key in base58, or nothing."""
    if value:
        check_key(value)


def check_layers(value: int) -> None:
    """How many layers of mixnodes a network has."""
    if not 0 <= value <= MOST_LAYERS:
        raise ValueError(f"a network has 1 to {MOST_LAYERS} layers; 0: as first seen")


def check_port(value: int) -> None:
    """A TCP port; 0 lets the system choose."""
    if not 0 <= value <= 65535:
        raise ValueError("a port is a number from 0 to 65535")


def check_host(value: str) -> None:
    """Where a socket is; an IPv6 address may be in brackets."""
    if value.startswith(UNIX):
        is_host = value != UNIX and value.isprintable()
        try:
            Path(value.removeprefix(UNIX)).expanduser()
        except RuntimeError as error:
            raise ValueError("there is no such user, or the home folder isn't known") from error
    elif ":" in value:
        is_host = is_ipv6(bare_host(value))
    else:
        is_host = value.isprintable() and not set(value) & set(" []") and value != ""
    if not is_host:
        raise ValueError(f"a host is a name or an IP address, without a port, or {UNIX}PATH")


def check_connections(value: int) -> None:
    """How many at once."""
    if not 1 <= value <= MOST_CONNECTIONS:
        raise ValueError(f"the number of connections is from 1 to {MOST_CONNECTIONS}")


def check_origins(value: list[str]) -> None:
    """Web sites, each as a browser names it."""
    for origin in value:
        parse_origin(origin)


def check_level(value: str) -> None:
    """How much is logged."""
    _check_word(value, "a level", LEVELS)


def check_format(value: str) -> None:
    """How a line of the log looks."""
    _check_word(value, "a format", FORMATS)


def positive_seconds(value: float) -> None:
    """A time of more than zero."""
    if not 0 < value <= 1e6:
        raise ValueError("seconds, more than 0 and at most 1000000")


def seconds(most: int) -> Callable[[float], None]:
    """A check for a time from zero to `most`."""

    def check(value: float) -> None:
        if not 0 <= value <= most:
            raise ValueError(f"seconds, from 0 to {most}")

    return check


def any_value(value: object) -> None:
    """Accept every value; its type has been checked already."""


def _check_word(value: str, what: str, words: Collection[str]) -> None:
    if value not in words:
        raise ValueError(f"{what} is one of {', '.join(words)}")
