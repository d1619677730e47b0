"""Prints the manual page: python -m nym.cli.manual > docs/nym-client.1.

The texts about commands are those of nym.cli.usage. The texts of the page's other sections, such as
FILES and ENVIRONMENT, are here. The format of the page is man(7).
"""

from collections.abc import Iterable, Iterator

from nym import __version__
from nym.cli.command import HELP, Command
from nym.cli.usage import COMMANDS, EXAMPLES, EXIT_CODES, FORMS, OPTIONS, SUMMARY
from nym.config import RELOADABLE

_DESCRIPTION = """\
A client runs as a daemon. Applications hand it messages over a local socket. The client puts each
message into packets, sends each packet through a random mixnode of every layer, and hides the
packets in a stream of cover packets that never pauses. Messages from others wait at the client's
provider, the server that keeps them, until the client pulls them. They then wait in the client
until an application fetches them."""

_FILES = """\
A client's folder is $XDG_CONFIG_HOME/nym/clients/ID, or ~/.config/nym/clients/ID if
XDG_CONFIG_HOME isn't set. Only the owner can read the files."""

_IN_FOLDER = {
    "private.pem": "the private key; anyone who has it can act as this client",
    "public.pem": "the public key, which is the address",
    "config.toml": "the settings, each with a comment; config shows and changes them",
    "client.db": "messages that wait to be sent or fetched, and everything else that must survive "
    "a restart. While the client runs, client.db-wal has a part of it.",
    "lists": "the network's lists of clients; the client fetches them again where they are missing",
    "client.reserve": "disk space that the client keeps in reserve for when the disk is full",
    "page.token": "what the page of websocket has to show; the client makes another one if it is "
    "missing",
    "client.sock": "where send, receive and the other commands find the running client",
}

_BESIDE = {
    "$XDG_CONFIG_HOME/nym/contacts.toml": "names for addresses, for all clients of this user",
    "$XDG_CONFIG_HOME/nym/localnet/": "the keys of the local network that a client starts if no "
    "directory was named, and the messages that wait in it",
    "$XDG_CONFIG_HOME/nym/crash-*.txt": "reports about errors that should not happen; they have no "
    "secrets in them",
}

_ENVIRONMENT = {
    "XDG_CONFIG_HOME": "the folder that has the folder nym in it, as an absolute path; otherwise "
    "~/.config",
    "TERM": "if it is dumb, no progress is shown",
    "ALL_PROXY": "a SOCKS proxy through which everything of a client goes, unless client.proxy "
    "decides",
    "HTTP_PROXY, HTTPS_PROXY, NO_PROXY": "a proxy for requests of nodes and of network check to a "
    "directory on another machine; a client refuses to start with a proxy that only some of its "
    "traffic would use, unless client.proxy decides",
    "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, JOURNAL_STREAM": "set by systemd; see "
    "sd_notify(3) and systemd.exec(5)",
    "PGPASSWORD": "the password for a provider's database; otherwise the one in the file that "
    "PGPASSFILE names, or in ~/.pgpass",
    "REQUESTS_CA_BUNDLE": "a file with the certificate authorities to trust for a directory's "
    "https; otherwise those that Mozilla trusts",
    "TMPDIR": "the folder where the demo puts its clients, and where the program unpacks its "
    "libraries on machines that forbid files in memory; otherwise /tmp",
}

_SIGNALS = {
    "SIGHUP": "tcpsocket and websocket read config.toml again. These settings take effect: "
    f"{', '.join(sorted(RELOADABLE))}. If others have changed, the log says that they "
    "take effect after a restart. If the file has a mistake in it, nothing changes.",
    "SIGTERM, SIGINT": "tcpsocket, websocket and localnet stop in good order, and end with 0",
}

_SEE_ALSO = (
    "docs/operating.md, docs/configuration.md and docs/sockets.md, which come with the source"
)


def page() -> str:
    """The whole page, as text in the format of man(7)."""
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
    options = [option for option in command.options if option != HELP]  # OPTIONS has it
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
    """`text` with roff's special characters escaped. roff breaks the lines itself."""
    for character, name in {"\\": "\\e", "-": "\\-", "~": "\\(ti", "^": "\\(ha"}.items():
        text = text.replace(character, name)
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    print(page(), end="")
