"""Prints the manual page, docs/nym-client.1: python -m nym.cli.manual > docs/nym-client.1.

Commands are as nym.cli.usage has them; what a page has beside them is here. man(7) is its format.
"""

from collections.abc import Iterable, Iterator

from nym import __version__
from nym.cli.command import HELP, Command
from nym.cli.usage import COMMANDS, EXAMPLES, EXIT_CODES, FORMS, OPTIONS, SUMMARY
from nym.config import RELOADABLE

_DESCRIPTION = """\
A client runs beside applications as a daemon: an application hands it messages over a local socket,
the client wraps each in a packet, sends it through a random mixnode of every layer, and hides it in
a stream of cover packets that never pauses. What others sent waits at a provider until the client
fetches it, and in the client until an application does."""

_FILES = """\
A client's folder is $XDG_CONFIG_HOME/nym/clients/ID, and ~/.config/nym/clients/ID where that isn't
set. Files are readable by their owner alone."""

_IN_FOLDER = {
    "private.pem": "the private key; anyone who has it can act as this client",
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
    "SIGHUP": "tcpsocket and websocket read config.toml again. These settings take effect: "
    f"{', '.join(sorted(RELOADABLE))}. If others have changed, the log says that they take a "
    "restart. A file with a mistake in it changes nothing.",
    "SIGTERM, SIGINT": "what runs ends in good order, with 0",
}

_SEE_ALSO = (
    "docs/operating.md, docs/configuration.md and docs/sockets.md, which come with the source"
)


def page() -> str:
    """All of it."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    name = SUMMARY.partition(",")[0]
    yield '.\\" Made by nym/cli/manual.py from nym/cli/usage/.'
    yield f'.TH NYM\\-CLIENT 1 "" "nym\\-client {__version__}" "User Commands"'
    yield from [".SH NAME", f"nym\\-client \\- {_text(name[0].lower() + name[1:])}"]
    yield from [".SH SYNOPSIS", *_verbatim(_indented(FORMS))]
    yield from [".SH DESCRIPTION", _text(f"{SUMMARY}."), ".PP", _text(_DESCRIPTION)]
    yield from [".SH OPTIONS", *_list((o.heading, o.explanation) for o in OPTIONS)]
    yield ".SH COMMANDS"
    for command in COMMANDS.values():
        yield from _command(command)
    yield from [".SH FILES", _text(_FILES), *_list(_IN_FOLDER.items()), ".PP", "Beside it:"]
    yield from _list(_BESIDE.items())
    yield from [".SH ENVIRONMENT", *_list(_ENVIRONMENT.items())]
    yield from [".SH SIGNALS", *_list(_SIGNALS.items())]
    yield from [".SH EXIT STATUS", *_list((str(code), w) for code, w in EXIT_CODES.items())]
    yield from [".SH EXAMPLES", *_verbatim(_indented(EXAMPLES))]
    yield from [".SH SEE ALSO", _text(_SEE_ALSO)]


def _command(command: Command) -> Iterator[str]:
    yield f".SS {_text(command.name)}"
    yield from [".PP", _text(f"{command.summary}.")]
    for note in command.notes:
        yield from [".PP", _text(note)]
    yield from _verbatim(command.usage.split("\n"))
    yield from _list((argument.name, argument.what) for argument in command.arguments)
    options = [option for option in command.options if option != HELP]  # said once for all
    yield from _list((option.heading, option.explanation) for option in options)
    yield from [".PP", "Examples:", *_verbatim(_indented(command.examples))]


def _list(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, what in entries:
        yield from [".TP", f".B {_text(name)}", _text(what)]


def _verbatim(lines: Iterable[str]) -> list[str]:
    escaped = (_text(line).replace("'", "\\(aq") for line in lines)
    return [".PP", ".nf", *escaped, ".fi"]


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _text(text: str) -> str:
    """As roff has it, which makes lines of it itself."""
    for character, name in {"\\": "\\e", "-": "\\-", "~": "\\(ti", "^": "\\(ha"}.items():
        text = text.replace(character, name)
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    print(page(), end="")
