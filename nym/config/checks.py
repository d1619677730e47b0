"""Which values settings can have. Each check raises ValueError, whose text is the reason.

The type of the value has been checked before (nym.config.text.checked). Command line options are
checked by the same functions, so a text here never names config.toml.
"""

import logging
import re
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import urlsplit

from nym.errors import RemoteFormatError
from nym.wire.addresses import UNIX, NodeAddress, bare_host, is_ipv6, split_host
from nym.wire.keys import decode_base58
from nym.wire.origins import parse_origin
from nym.wire.postgresql import parse_database_url
from nym.wire.sizes import MOST_LAYERS
from nym.wire.socks import parse_proxy_url

MOST_REPLY_ADDRESSES = 4  # each gets a part of the pulls and of the loops
LONGEST_ID = 100  # characters
LONGEST_NAME = 255  # bytes of a folder's name: the limit of Linux file systems
MOST_CONNECTIONS = 100_000
MOST_DIRECTORIES = 10
MOST_WORKERS = 256
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
FORMATS = ("text", "json")
NO_PROXY = "none"


def check_id(value: str) -> None:
    """An id, which is the name of the client's folder, too."""
    if value in (".", ".."):
        raise ValueError(f"an id is the name of a folder, and {value} already means another folder")
    # After --id, a value that begins with - would look like an option.
    if not 0 < len(value) <= LONGEST_ID or value.startswith("-"):
        raise ValueError(f"an id has 1 to {LONGEST_ID} characters and doesn't begin with -")
    # A character can take four bytes. Lone surrogates can't be encoded; isprintable refuses them.
    if len(value.encode(errors="replace")) > LONGEST_NAME:
        raise ValueError(f"an id has at most {LONGEST_NAME} bytes")
    if not value.isprintable() or "/" in value:
        raise ValueError("an id is the name of a folder: no / and no control characters")


def check_directory(value: str) -> None:
    """The URL of a directory."""
    # urlsplit would remove some control characters silently.
    if not value.isprintable() or " " in value:
        raise ValueError("a directory's URL has no white space and no control characters")
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("a directory is named by a URL such as https://directory.example")
    # Paths of the API are appended to the URL, so nothing may stand behind its own path.
    if url.port == 0 or url.query or url.fragment:  # .port raises ValueError beyond 65535
        raise ValueError("a directory's URL has a host, a port and a path, nothing else")


def listed(value: str) -> list[str]:
    """The parts of a text, which spaces or commas separate, each of them once."""
    return list(dict.fromkeys(part for part in re.split("[ ,]+", value) if part))


def check_directories(value: str) -> None:
    """The URLs of the directories of one network; at least one."""
    urls = listed(value)
    if not 1 <= len(urls) <= MOST_DIRECTORIES:
        raise ValueError(f"a network has 1 to {MOST_DIRECTORIES} directories")
    for url in urls:
        try:
            check_directory(url)
        except ValueError as error:
            raise ValueError(f"{url}: {error}" if len(urls) > 1 else str(error)) from error


def check_directories_or_none(value: str) -> None:
    """The URLs of directories, or an empty text, which names none."""
    if value:
        check_directories(value)


def check_directory_keys(value: str) -> None:
    """The keys that sign what directories list, in base58, or an empty text."""
    for key in listed(value):
        check_key(key)


def check_key(value: str) -> None:
    """A key in base58."""
    decode_base58(value)


def check_provider(value: str) -> None:
    """A key in base58, or an empty text, which lets the client choose."""
    if value:
        check_key(value)


def check_proxy(value: str) -> None:
    """The URL of a SOCKS proxy, or NO_PROXY."""
    if value != NO_PROXY:
        parse_proxy_url(value)


def check_proxy_or_empty(value: str) -> None:
    """The same, or an empty text, which lets the environment decide."""
    if value:
        check_proxy(value)


def check_layers(value: int) -> None:
    """The number of layers of mixnodes; 0 stands for the number that the client sees first."""
    if not 0 <= value <= MOST_LAYERS:
        raise ValueError(f"a network has 1 to {MOST_LAYERS} layers; 0: the number seen first")


def check_reply_addresses(value: int) -> None:
    """The number of reply addresses. Each takes a part of the pulls and of the loops."""
    if not 0 <= value <= MOST_REPLY_ADDRESSES:
        raise ValueError(f"it must be a number from 0 to {MOST_REPLY_ADDRESSES}")


def check_port(value: int) -> None:
    """A TCP port; 0 lets the system choose."""
    if not 0 <= value <= 65535:
        raise ValueError("a port is a number from 0 to 65535")


def check_host(value: str) -> None:
    """Where a socket listens: a name, an IP address, or unix:PATH.

    An IPv6 address may be in brackets.
    """
    if value.startswith(UNIX):
        is_host = value != UNIX and value.isprintable()
        try:
            Path(value.removeprefix(UNIX)).expanduser()  # raises for ~NAME without such a user
        except RuntimeError as error:
            raise ValueError("there is no such user, or the home folder isn't known") from error
    elif ":" in value:
        is_host = is_ipv6(bare_host(value))
    else:
        is_host = value.isprintable() and not set(value) & set(" []") and value != ""
    if not is_host:
        raise ValueError(f"a host is a name or an IP address, without a port, or {UNIX}PATH")


def place_of(text: str, port: int) -> NodeAddress:
    """The place that a text names: a host with a port, or a host alone, for which `port` is used.

    The host may be a name. Raises ValueError.
    """
    host = bare_host(text)
    if is_ipv6(host) or ":" not in text:
        text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return NodeAddress(*split_host(text))
    except RemoteFormatError as error:
        raise ValueError(
            "a place is a host, or a host and a port, such as 192.0.2.7:1789 or [2001:db8::7]:1789"
        ) from error


def check_place(value: str) -> None:
    """Where a node listens: a name or an IP address, with or without a port."""
    place_of(value, 0)


def check_place_or_none(value: str) -> None:
    """The same, or an empty text."""
    if value:
        check_place(value)


def check_store_or_none(value: str) -> None:
    """The URL of a database, or an empty text, which stands for a file in the node's folder."""
    if value:
        parse_database_url(value)


def check_metrics(value: str) -> None:
    """Where figures are served: a name or an IP address, with a port."""
    try:
        split_host(value)
    except RemoteFormatError as error:
        raise ValueError("it must be HOST:PORT, such as 127.0.0.1:9100 or [::1]:9100") from error


def check_metrics_or_none(value: str) -> None:
    """The same, or an empty text."""
    if value:
        check_metrics(value)


def check_rate(value: float) -> None:
    """How many packets per second."""
    if not 1 <= value <= 10**6:
        raise ValueError("a number of packets per second is from 1 to 1000000")


def check_age(value: float) -> None:
    """After how many seconds something goes: a day, at least, so that no short fault costs it."""
    if not 86_400 <= value <= 10**10:
        raise ValueError("a number of seconds is from 86400, which is a day, to 10000000000")


def check_origins(value: list[str]) -> None:
    """Web sites, each as the origin that browsers send for it."""
    for origin in value:
        parse_origin(origin)


def check_level(value: str) -> None:
    """A level of the log."""
    _check_word(value, "a level", LEVELS)


def check_format(value: str) -> None:
    """A format of the log."""
    _check_word(value, "a format", FORMATS)


def positive_seconds(value: float) -> None:
    """A time of more than zero."""
    # Written so that nan fails, too: each comparison with it is false.
    if not 0 < value <= 1e6:
        raise ValueError("it must be seconds, more than 0 and at most 1000000")


def seconds(most: int) -> Callable[[float], None]:
    """Make a check for a time from zero to `most` seconds."""

    def check(value: float) -> None:
        if not 0 <= value <= most:
            raise ValueError(f"it must be seconds, from 0 to {most}")

    return check


def number_of(what: str, least: int, most: int) -> Callable[[int], None]:
    """Make a check for how many of something there may be."""

    def check(value: int) -> None:
        if not least <= value <= most:
            raise ValueError(f"the number of {what} is from {least} to {most}")

    return check


check_connections = number_of("connections", 1, MOST_CONNECTIONS)
check_workers = number_of("workers", 0, MOST_WORKERS)


def any_value(value: object) -> None:
    """Accept every value; its type has been checked already."""


def _check_word(value: str, what: str, words: Collection[str]) -> None:
    if value not in words:
        raise ValueError(f"{what} is one of {', '.join(words)}")
