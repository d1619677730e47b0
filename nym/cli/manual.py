"""Prints the manual page, docs/nym-client.1: python -m nym.cli.manual > docs/nym-client.1.

Commands are as nym.cli.usage has them; what a page has beside them is here. man(7) is its format.
"""

import re
from collections.abc import Iterable, Iterator

from nym import __version__
from nym.cli.usage import COMMANDS, Command, overview

_DESCRIPTION = """\
A client runs beside applications as a daemon: an application hands it messages over a local socket,
the client wraps each in a packet, sends it through a random mixnode of every layer, and hides it in
a stream of cover packets that never pauses. What others sent waits at a provider until the client
fetches it, and in the client until an application does."""

_FILES = """\
A client's folder is $XDG_CONFIG_HOME/nym/clients/ID, and ~/.config/nym/clients/ID where that isn't
set. Files are readable by their owner alone."""

_IN_FOLDER = {
    "private.pem": "the private key; whoever has it is this client",
    "public.pem": "the public key, which is the address",
    "config.toml": "settings, each with a comment; config shows and changes them",
    "client.db": "messages that wait to be sent or fetched, and what else has to last. While the "
    "client runs, client.db-wal belongs to it.",
    "client.reserve": "room that is kept for when the disk is full",
    "client.sock": "where send, receive and the other commands find the running client",
}

_BESIDE = {
    "$XDG_CONFIG_HOME/nym/contacts.toml": "names for addresses, for all clients of this user",
    "$XDG_CONFIG_HOME/nym/localnet/": "the network that a client starts in itself when none was "
    "named: its keys, and messages that wait in it",
    "$XDG_CONFIG_HOME/nym/crash-*.txt": "reports on errors that should not happen, without secrets",
}

_ENVIRONMENT = {
    "XDG_CONFIG_HOME": "an absolute path; else ~/.config is used",
    "TERM": "on a terminal that is dumb, no progress is shown",
    "HTTP_PROXY, HTTPS_PROXY, NO_PROXY": "a proxy on the way to a directory elsewhere; packets "
    "don't take it",
    "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, JOURNAL_STREAM": "set by systemd; see "
    "sd_notify(3) and systemd.exec(5)",
    "REQUESTS_CA_BUNDLE": "a file with certificates of authorities, for a directory's https; else "
    "Mozilla's count",
    "TMPDIR": "where the demo has its clients, and where libraries of the one file go on a machine "
    "that forbids files in memory; else /tmp",
}

_SIGNALS = {
    "SIGHUP": "tcpsocket and websocket read config.toml again: logging.level, logging.format, "
    "client.reliable, client.provider_patience and socket.allowed_origins change; for what takes a "
    "restart, that is logged. A file with a mistake in it changes nothing.",
    "SIGTERM, SIGINT": "what runs ends in good order, with 0",
}

_SEE_ALSO = (
    "docs/operating.md, docs/configuration.md and docs/sockets.md, which come with the source"
)

_HELP = "-h --help"  # said once for all commands


def page() -> str:
    """All of it."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    head, _, tail = overview().partition("\n\nUsage:\n")
    what = head[0].lower() + head[1:].partition(":")[0]
    yield '.\\" Made by nym/cli/manual.py of nym/cli/usage.py.'
    yield f'.TH NYM\\-CLIENT 1 "" "nym\\-client {__version__}" "User Commands"'
    yield from [".SH NAME", f"nym\\-client \\- {_text(what)}"]
    yield from [".SH SYNOPSIS", *_verbatim(tail.split("\n\n", 1)[0])]
    yield from [".SH DESCRIPTION", _text(head), ".PP", _text(_DESCRIPTION)]
    yield from [".SH OPTIONS", *_list(_entries(_block(tail, "Options")))]
    yield ".SH COMMANDS"
    for name, command in COMMANDS.items():
        yield from _command(name, command)
    yield from [".SH FILES", _text(_FILES), *_list(_IN_FOLDER.items()), ".PP", "Beside it:"]
    yield from _list(_BESIDE.items())
    yield from [".SH ENVIRONMENT", *_list(_ENVIRONMENT.items())]
    yield from [".SH SIGNALS", *_list(_SIGNALS.items())]
    yield from [".SH EXIT STATUS", *_list(_exit_codes())]
    yield from [".SH EXAMPLES", *_verbatim(_block(tail, "Examples"))]
    yield from [".SH SEE ALSO", _text(_SEE_ALSO)]


def _command(name: str, command: Command) -> Iterator[str]:
    yield f".SS {_text(name)}"
    for block in command.text.rstrip().split("\n\n"):
        title, _, rest = block.partition(":\n")
        if title in ("Usage", "Examples"):
            yield from [] if title == "Usage" else [".PP", "Examples:"]
            yield from _verbatim(rest)
        elif title in ("Options", "Arguments"):
            yield from _list(entry for entry in _entries(rest) if entry[0] != _HELP)
        else:
            yield from [".PP", _text(block)]


def _entries(text: str) -> list[tuple[str, str]]:
    """Names, and what is said of them, behind two spaces or in the lines below."""
    found = re.findall(r"^  (\S.*?)(?:  +(.*)|)((?:\n {6,}.*)*)$", text, re.MULTILINE)
    return [(name, f"{first}{more}".strip()) for name, first, more in found]


def _exit_codes() -> list[tuple[str, str]]:
    sentence = " ".join(_block(overview(), "Exit codes").split()).removesuffix(".")
    return re.findall(r"(\d) ([^,]+)", sentence)


def _block(text: str, title: str) -> str:
    """What stands behind a title, up to the next empty line."""
    return re.split(rf"^{title}:\s", text, flags=re.MULTILINE)[1].split("\n\n", 1)[0].rstrip()


def _list(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, what in entries:
        yield from [".TP", f".B {_text(name)}", _text(what)]


def _verbatim(text: str) -> list[str]:
    lines = [_text(line).replace("'", "\\(aq") for line in text.split("\n")]
    return [".PP", ".nf", *lines, ".fi"]


def _text(text: str) -> str:
    """As roff has it; lines are filled anew, but for the spaces that verbatim lines begin with."""
    escaped = re.sub(r" *\n *", "\n", text)
    for character, name in {"\\": "\\e", "-": "\\-", "~": "\\(ti", "^": "\\(ha"}.items():
        escaped = escaped.replace(character, name)
    return re.sub(r"^(?=[.'])", r"\\&", escaped, flags=re.MULTILINE)


if __name__ == "__main__":
    print(page(), end="")
