"""Every command as data: its texts, its options, and the module that carries it out.

To add a command, describe it in a module of this package and write the module that it names. The
help, the manual page and the completions are made from the description, so nothing that prints
them has to import the commands themselves.
"""

import textwrap

from nym.cli.command import WIDTH, Option, table
from nym.cli.usage.clients import FIRST, LATER
from nym.cli.usage.looking import PROGRAM, STATE
from nym.cli.usage.messages import MESSAGES
from nym.cli.usage.networks import NETWORKS
from nym.cli.usage.nodes import NODES

SUMMARY = "Send messages through a mix network, so that nobody on the way learns who talks to whom"

EXIT_CODES = {
    0: "done",
    1: "failed",
    2: "the command line can't be understood",
    3: "the client doesn't run",
    4: "the network can't be reached",
    5: "the keys, the settings or the folder are wrong",
}

EXAMPLES = (
    "nym-client demo",
    "nym-client init --id alice",
    "nym-client tcpsocket --id alice",
    'nym-client send --id alice --message hello "$(nym-client address --id alice)"',
)

FORMS = ("nym-client COMMAND [OPTION ...]", "nym-client COMMAND --help")

OPTIONS = (
    Option("--help", "show this; after a command's name, what that command does", short="-h"),
    Option("--version", "show the version; with --verbose, also of its parts, for bug reports"),
)

_COMMANDS = (*FIRST, *MESSAGES, *STATE, *LATER, *NODES, *NETWORKS, *PROGRAM)

COMMANDS = {command.name: command for command in _COMMANDS}


def overview() -> str:
    """The text that --help prints."""
    commands = [(name, f"{c.summary[0].lower()}{c.summary[1:]}") for name, c in COMMANDS.items()]
    options = [(option.heading, option.explanation) for option in OPTIONS]
    codes = [(str(code), what) for code, what in EXIT_CODES.items()]
    blocks = [
        textwrap.fill(f"{SUMMARY}.", WIDTH),
        "\n".join(["Usage:", *(f"  {form}" for form in FORMS)]),
        f"Commands:\n{table(commands, 10)}",
        f"Options:\n{table(options, 10)}",
        f"Exit codes:\n{table(codes, 10)}",
        "\n".join(["Examples:", *(f"  {line}" for line in EXAMPLES)]),
    ]
    return "\n\n".join(blocks) + "\n"
