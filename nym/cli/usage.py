"""Every command: what carries it out, and the text from which docopt reads its options.

The texts are for people first: --help prints them, the manual page and the completions are made
of them. No command is imported for its text.
"""

import re
from typing import NamedTuple


class Command(NamedTuple):
    """A command: the module and function for it, and its text; the first line says what it does."""

    module: str
    function: str
    text: str

    @property
    def summary(self) -> str:
        """What it does, in a line without a full stop."""
        return self.text.split("\n", 1)[0].removesuffix(".")

    @property
    def usage(self) -> str:
        """Its forms, without what explains them."""
        return self.text.split("Usage:\n", 1)[1].split("\n\n", 1)[0]

    @property
    def forms(self) -> list[str]:
        """Each of them."""
        forms = re.split(r"^  (?=nym-client )", self.usage, flags=re.MULTILINE)
        return [form for form in forms if form]

    @property
    def words(self) -> list[str]:
        """The words that may follow its name: commands of its own, or what it is about."""
        forms = re.findall(r"^  nym-client \S+ ([a-z]+|\(.*\))", self.usage, re.MULTILINE)
        return re.findall("[a-z]+", " ".join(forms))

    @property
    def options(self) -> dict[str, str]:
        """What its long options are for; of those that take a value, the names end with "="."""
        listed = self.text.partition("Options:\n")[2].split("\n\n", 1)[0]
        found = re.findall(
            r"^  (?:-\w(?: [A-Z]+)? )?(--[a-z-]+)( [A-Z]+)?\s+(.*(?:\n {6,}.*)*)",
            listed,
            re.MULTILINE,
        )
        return {name + "=" * bool(value): " ".join(what.split()) for name, value, what in found}


_RUN_OPTIONS = """\
  --id ID          the client's name on this machine
  --listen HOST    where applications connect, else as configured, else 127.0.0.1;
                   unix:PATH: a UNIX socket, for this user alone
  -p PORT --port PORT
                   port to listen on, else as configured, else 9001; 0: the system chooses
  --directory URL  the network's directory, else as configured
  --reliable       messages are sent until they are acknowledged, unless they ask not to be;
                   tells their recipients who sent them
  -q --quiet       print nothing but warnings and errors
  -v --verbose     log what happens in detail
  -h --help        show this
"""

COMMANDS = {
    "init": Command(
        "nym.cli.init",
        "init",
        """Make a client: its keys, its address, its config.toml.

Usage:
  nym-client init --id ID [--provider KEY] [--directory URL] [--force]

Options:
  --id ID          the client's name on this machine
  --provider KEY   the provider to use, its key in base58; else one is chosen
  --directory URL  the network's directory; else a local network is used, or started
  --force          replace keys that are there; their address is lost
  -h --help        show this

Examples:
  nym-client init --id alice
  nym-client init --id alice --directory https://directory.example
""",
    ),
    "tcpsocket": Command(
        "nym.cli.run",
        "tcpsocket",
        f"""Run a client; applications connect to it over TCP.

Usage:
  nym-client tcpsocket --id ID [--listen HOST] [--port PORT] [--directory URL] [--reliable]
                       [--quiet | --verbose]

Options:
{_RUN_OPTIONS}
Examples:
  nym-client tcpsocket --id alice
  nym-client tcpsocket --id alice --listen unix:/run/user/1000/alice.sock
""",
    ),
    "websocket": Command(
        "nym.cli.run",
        "websocket",
        f"""Run a client; applications connect to it with a WebSocket.

Usage:
  nym-client websocket --id ID [--listen HOST] [--port PORT] [--directory URL] [--reliable]
                       [--quiet | --verbose]

Options:
{_RUN_OPTIONS}
Examples:
  nym-client websocket --id alice --port 9002
""",
    ),
    "send": Command(
        "nym.cli.send",
        "send",
        """Send a message, a file or what comes from a pipe, through the client that runs.

It is on the client's disk when the command ends; it leaves at moments that the client chooses.
Where the client has no room for more, the command waits until there is.

Usage:
  nym-client send --id ID [--lines] [--reliable | --plain] [--wait] [--json] [--] TO [FILE]

Arguments:
  TO          an address, or the name of a contact
  FILE        what to send, at most 16 MiB; - or nothing: standard input

Options:
  --id ID     the client's name on this machine
  --lines     each line is a message of its own
  --reliable  send until it is acknowledged; tells the recipient who sent it
  --plain     as the published client sends it, to somebody who runs that; at most 975 bytes
  --wait      wait until the recipient has acknowledged it; the same as reliable
  --json      print each message's id: {"id": "..."}
  -h --help   show this

Examples:
  tar c notes | nym-client send --id alice bob
  nym-client send --id alice --wait bob report.pdf
  tail -f log | nym-client send --id alice --lines bob
""",
    ),
    "receive": Command(
        "nym.cli.receive",
        "receive",
        """Print the messages that came, as they are; they are gone from the client then.

Usage:
  nym-client receive --id ID [--follow | --count N] [--lines | --json]

Without --follow and --count: those that are there now. A message leaves the client when it was
written, so none is lost when whoever reads them stops.

Options:
  --id ID     the client's name on this machine
  --follow    wait for more, for ever
  --count N   wait until there were so many
  --lines     a line end behind each message
  --json      an object a line: id, received, sender, contact, data (base64), text
  -h --help   show this

Examples:
  nym-client receive --id bob --count 1 | tar x
  nym-client receive --id bob --follow --json | jq -r .text
""",
    ),
    "status": Command(
        "nym.cli.look",
        "status",
        """Show how the client runs: its provider, its queues, packets, loops and avoided nodes.

Usage:
  nym-client status --id ID [--json | --watch]

Options:
  --id ID     the client's name on this machine
  --json      as the JSON object that is described in docs/protocol/sockets.md
  --watch     show it anew each second
  -h --help   show this

Examples:
  nym-client status --id alice
  nym-client status --id alice --json | jq .outbox
""",
    ),
    "clients": Command(
        "nym.cli.look",
        "clients",
        """List the addresses that the directory knows, with the names of contacts.

Usage:
  nym-client clients --id ID [--json]

Options:
  --id ID     the client's name on this machine
  --json      as a list of objects: address, contact
  -h --help   show this

Examples:
  nym-client clients --id alice
""",
    ),
    "address": Command(
        "nym.cli.look",
        "address",
        """Print the client's own address, which others send to.

Usage:
  nym-client address --id ID [--json | --qr]

Options:
  --id ID     the client's name on this machine
  --json      as an object: address
  --qr        as a QR code, for a camera
  -h --help   show this

Examples:
  ALICE=$(nym-client address --id alice)
  nym-client address --id alice --qr
""",
    ),
    "contacts": Command(
        "nym.cli.contacts",
        "contacts",
        """Give names to addresses; they can be used wherever an address is.

Usage:
  nym-client contacts add [--plain] [--] NAME ADDRESS
  nym-client contacts remove NAME
  nym-client contacts list [--json]

Options:
  --plain     who runs the published client: messages are sent plain
  --json      as a list of objects: name, address, plain
  -h --help   show this

Examples:
  nym-client contacts add bob 6XYkCLQnfPZKrVGmPyHkv7G2AgRgVjFvgTTXRzsdV7Sg
  echo hello | nym-client send --id alice bob
""",
    ),
    "check": Command(
        "nym.cli.check",
        "check",
        """Try everything that a client needs, and say what to do about what is missing.

Its folder and settings, the directory, its provider, and a message to itself through the network.

Usage:
  nym-client check --id ID [--json]

Options:
  --id ID     the client's name on this machine
  --json      as a list of objects: check, ok, found, advice
  -h --help   show this

Examples:
  nym-client check --id alice
""",
    ),
    "config": Command(
        "nym.cli.settings",
        "config",
        """Show or change a client's settings, which are in its config.toml.

Usage:
  nym-client config show --id ID [--json]
  nym-client config set --id ID [--] KEY VALUE

Arguments:
  KEY         a section and a name in it, such as socket.port
  VALUE       as it stands in the file; texts without their quotes

Options:
  --id ID     the client's name on this machine
  --json      as a list of objects: key, value, source
  -h --help   show this

Examples:
  nym-client config show --id alice
  nym-client config set --id alice socket.port 9100
""",
    ),
    "localnet": Command(
        "nym.cli.localnet",
        "localnet",
        """Run a whole network on this machine.

Usage:
  nym-client localnet [--port PORT] [--host IP] [--layers N] [--width N] [--providers N]
                      [--folder DIR]

Options:
  -p PORT --port PORT
                  the directory's port, else 8080; 0: the system chooses
  --host IP       where the network listens, and can be reached [default: 127.0.0.1]
  --layers N      layers of mixnodes, 1 to 4 [default: 3]
  --width N       mixnodes in each layer [default: 1]
  --providers N   providers [default: 1]
  --folder DIR    keep keys and undelivered messages here; else they end with the network
  -h --help       show this

Examples:
  nym-client localnet
  nym-client localnet --host 192.0.2.7 --width 3 --providers 2
""",
    ),
    "demo": Command(
        "nym.cli.demo",
        "demo",
        """Show a local network and two clients that write to each other.

Usage:
  nym-client demo

Options:
  -h --help   show this

Examples:
  nym-client demo
""",
    ),
    "completion": Command(
        "nym.cli.completion",
        "completion",
        """Print what completes commands and options in a shell.

Usage:
  nym-client completion (bash | zsh | fish)

Options:
  -h --help   show this

Examples:
  source <(nym-client completion bash)
  nym-client completion zsh > ~/.zfunc/_nym-client
  nym-client completion fish > ~/.config/fish/completions/nym-client.fish
""",
    ),
}

_HEAD = "Send messages through a Nym 0.4 mix network: nobody on the way learns who talks to whom."
_TAIL = """\
Options:
  -h --help     show this; behind a command, what that one does
  --version     show the version; with --verbose, what it is made of, for reports

Exit codes: 0 done, 1 failed, 2 usage, 3 the client doesn't run, 4 no network, 5 keys or
configuration are wrong.

Examples:
  nym-client demo
  nym-client init --id alice
  nym-client tcpsocket --id alice
  echo hello | nym-client send --id alice $(nym-client address --id alice)
"""


def overview() -> str:
    """The text that --help prints."""
    lines = [
        f"  {name:<12}{command.summary[0].lower()}{command.summary[1:]}"
        for name, command in COMMANDS.items()
    ]
    forms = ["  nym-client COMMAND [OPTION ...]", "  nym-client COMMAND --help"]
    return "\n".join([_HEAD, "", "Usage:", *forms, "", "Commands:", *lines, "", _TAIL])
