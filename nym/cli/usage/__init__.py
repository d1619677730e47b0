"""Every command: what carries it out, and its texts, as data.

A command is added here and in the module that it names; help, manual page and completions follow.
No command is imported for its texts.
"""

import textwrap

from nym.cli.command import WIDTH, Argument, Command, Form, Option, table

SUMMARY = "Send messages through a Nym 0.4 mix network: nobody on the way learns who talks to whom"

EXIT_CODES = {
    0: "done",
    1: "failed",
    2: "the command line can't be understood",
    3: "the client doesn't run",
    4: "no network",
    5: "keys, settings or folder are wrong",
}

EXAMPLES = (
    "nym-client demo",
    "nym-client init --id alice",
    "nym-client tcpsocket --id alice",
    "echo hello | nym-client send --id alice $(nym-client address --id alice)",
)

FORMS = ("nym-client COMMAND [OPTION ...]", "nym-client COMMAND --help")

OPTIONS = (
    Option("--help", "show this; behind a command, what that one does", short="-h"),
    Option("--version", "show the version; with --verbose, what it is made of, for reports"),
)

_ID = Option("--id", "the client's name on this machine", "ID", kind="client")

_RUN = Form(
    needs=(_ID,),
    takes=(
        Option(
            "--listen",
            "where applications connect, else as configured, else 127.0.0.1; unix:PATH: a UNIX "
            "socket, for this user alone",
            "HOST",
        ),
        Option(
            "--port",
            "port to listen on, else as configured, else 9001; 0: the system chooses",
            "PORT",
            short="-p",
        ),
        Option("--directory", "the network's directory, else as configured", "URL"),
        (
            Option(
                "--reliable",
                "send messages until they are acknowledged, unless a message asks for something "
                "else; this tells recipients who sent them",
            ),
            Option(
                "--plain",
                "send as the published client does, for recipients that run it, unless a message "
                "asks for something else",
            ),
        ),
        (
            Option("--quiet", "print nothing but warnings and errors", short="-q"),
            Option("--verbose", "log what happens in detail", short="-v"),
        ),
    ),
)


def _json(what: str) -> Option:
    return Option("--json", what)


_COMMANDS = (
    Command(
        "init",
        "nym.cli.init",
        "Make a client: its keys, its address, its config.toml",
        (
            Form(
                needs=(_ID,),
                takes=(
                    Option(
                        "--provider",
                        "the provider to use, its key in base58; else one is chosen",
                        "KEY",
                    ),
                    Option(
                        "--directory",
                        "the network's directory; else a local network is used, or started",
                        "URL",
                    ),
                    Option(
                        "--force",
                        "replace keys that are there, and with them the address; refused while the "
                        "client runs",
                        is_destructive=True,
                    ),
                ),
            ),
        ),
        examples=(
            "nym-client init --id alice",
            "nym-client init --id alice --directory https://directory.example",
        ),
    ),
    Command(
        "tcpsocket",
        "nym.cli.run",
        "Run a client; applications connect to it over TCP",
        (_RUN,),
        examples=(
            "nym-client tcpsocket --id alice",
            "nym-client tcpsocket --id alice --listen unix:/run/user/1000/alice.sock",
        ),
    ),
    Command(
        "websocket",
        "nym.cli.run",
        "Run a client; applications connect to it with a WebSocket",
        (_RUN,),
        examples=("nym-client websocket --id alice --port 9002",),
    ),
    Command(
        "send",
        "nym.cli.send",
        "Send a message: a file, or what comes from a pipe",
        (
            Form(
                needs=(_ID,),
                takes=(
                    Option("--lines", "each line is a message of its own"),
                    (
                        Option(
                            "--reliable",
                            "send until it is acknowledged; this tells the recipient who sent it",
                        ),
                        Option(
                            "--plain",
                            "as the published client sends it, for recipients that run that one; "
                            "at most 975 bytes",
                        ),
                    ),
                    Option("--wait", "wait until it is acknowledged; includes --reliable"),
                    _json('print each message\'s id: {"id": "..."}'),
                ),
                arguments=(
                    Argument("TO", "an address, or the name of a contact", kind="contact"),
                    Argument(
                        "FILE",
                        "what to send, at most 16 MiB; - or nothing: standard input",
                        kind="file",
                        is_optional=True,
                    ),
                ),
            ),
        ),
        notes=(
            "It is on the client's disk when the command ends; it leaves at moments that the "
            "client chooses. Where the client has no room for more, the command says what fills "
            "it, and waits; nym-client outbox shows what waits, and takes it back.",
        ),
        examples=(
            "tar c notes | nym-client send --id alice bob",
            "nym-client send --id alice --wait bob report.pdf",
            "tail -f log | nym-client send --id alice --lines bob",
        ),
    ),
    Command(
        "receive",
        "nym.cli.receive",
        "Print the messages that came, and remove them from the client",
        (
            Form(
                needs=(_ID,),
                takes=(
                    (
                        Option("--follow", "keep waiting for more"),
                        Option("--count", "wait until there have been N messages", "N"),
                    ),
                    (
                        Option("--lines", "put a line end behind each message"),
                        _json(
                            "one object per line: id, received, sender, contact, data (base64), "
                            "text"
                        ),
                    ),
                ),
            ),
        ),
        notes=(
            "Without --follow and --count, it prints those that are there now. A message is "
            "removed once it has been written, so none is lost when the reader stops.",
        ),
        examples=(
            "nym-client receive --id bob --count 1 | tar x",
            "nym-client receive --id bob --follow --json | jq -r .text",
        ),
    ),
    Command(
        "outbox",
        "nym.cli.outbox",
        "Show what waits to be sent and why, or take it back",
        (
            Form(
                ("list",),
                (_ID,),
                (
                    _json(
                        "as a list of objects, which docs/protocol/sockets.md describes, with the "
                        "contact's name"
                    ),
                ),
            ),
            Form(
                ("cancel",),
                (_ID,),
                arguments=(
                    Argument(
                        "MESSAGE",
                        "a message's id, or what it begins with, as list shows it",
                        is_repeated=True,
                    ),
                ),
            ),
            Form(
                ("cancel",),
                (
                    _ID,
                    Option(
                        "--to",
                        "all messages to this address, or to this contact",
                        "ADDRESS",
                        kind="contact",
                    ),
                ),
            ),
            Form(
                ("cancel",), (_ID, Option("--all", "every message that waits", is_destructive=True))
            ),
        ),
        notes=(
            "A message leaves in packets, one by one. Packets that have left can't be taken back, "
            "so a cancelled message may still arrive.",
        ),
        examples=(
            "nym-client outbox list --id alice",
            "nym-client outbox cancel --id alice 3f9a0c",
            "nym-client outbox cancel --id alice --to bob",
        ),
    ),
    Command(
        "status",
        "nym.cli.look",
        "Show how the client runs: provider, queues, packets, avoided nodes",
        (
            Form(
                needs=(_ID,),
                takes=(
                    (
                        _json("as the JSON object that docs/protocol/sockets.md describes"),
                        Option("--watch", "show it anew each second"),
                    ),
                ),
            ),
        ),
        examples=(
            "nym-client status --id alice",
            "nym-client status --id alice --json | jq .outbox",
        ),
    ),
    Command(
        "clients",
        "nym.cli.look",
        "List the addresses that the directory knows",
        (Form(needs=(_ID,), takes=(_json("as a list of objects: address, contact"),)),),
        examples=("nym-client clients --id alice",),
    ),
    Command(
        "address",
        "nym.cli.look",
        "Print the client's own address, which others send to",
        (
            Form(
                needs=(_ID,),
                takes=(
                    (
                        _json("as an object: address"),
                        Option("--qr", "as a QR code, for a camera"),
                    ),
                ),
            ),
        ),
        examples=(
            "ALICE=$(nym-client address --id alice)",
            "nym-client address --id alice --qr",
        ),
    ),
    Command(
        "contacts",
        "nym.cli.contacts",
        "Give names to addresses; they can be used wherever an address is",
        (
            Form(
                ("add",),
                takes=(
                    Option(
                        "--plain",
                        "the contact runs the published client: messages to it are sent plain",
                    ),
                ),
                arguments=(
                    Argument("NAME", "the contact's name", kind="contact"),
                    Argument("ADDRESS", "its address, a key in base58"),
                ),
            ),
            Form(
                ("remove",),
                arguments=(Argument("NAME", "the contact's name", kind="contact"),),
            ),
            Form(("list",), takes=(_json("as a list of objects: name, address, plain"),)),
        ),
        examples=(
            "nym-client contacts add bob EkA4Dhmj325XUjpwRvJCu8McmUuGJZncWBbQGVSD7gye",
            "echo hello | nym-client send --id alice bob",
        ),
    ),
    Command(
        "check",
        "nym.cli.check",
        "Try everything that a client needs, and say what to do",
        (
            Form(
                needs=(_ID,),
                takes=(_json("as a list of objects: check, ok, found, advice"),),
            ),
        ),
        notes=(
            "It tries the folder and the settings, the directory, the provider, and a message to "
            "the client itself. A client that doesn't run is started for the test.",
        ),
        examples=("nym-client check --id alice",),
    ),
    Command(
        "network",
        "nym.cli.network",
        "Show the nodes that the client uses, and a digest of them",
        (
            Form(
                ("view",),
                needs=(_ID,),
                takes=(_json("as the JSON object that docs/protocol/sockets.md describes"),),
            ),
        ),
        notes=(
            "The digest is the same for all who see the same network: compare it with others to "
            "find out whether a directory shows you another one. If the client doesn't run, the "
            "directory is asked, and what the client remembers of the network doesn't count.",
        ),
        examples=("nym-client network view --id alice",),
    ),
    Command(
        "config",
        "nym.cli.settings",
        "Show or change a client's settings, its config.toml",
        (
            Form(
                ("show",),
                needs=(_ID,),
                takes=(_json("as a list of objects: key, value, source"),),
            ),
            Form(
                ("set",),
                needs=(_ID,),
                arguments=(
                    Argument("KEY", "a section and a name in it, such as socket.port"),
                    Argument("VALUE", "as it stands in the file; texts without their quotes"),
                ),
            ),
        ),
        examples=(
            "nym-client config show --id alice",
            "nym-client config set --id alice socket.port 9100",
        ),
    ),
    Command(
        "localnet",
        "nym.cli.localnet",
        "Run a whole network on this machine",
        (
            Form(
                takes=(
                    Option(
                        "--port",
                        "the directory's port, else 8080; 0: the system chooses",
                        "PORT",
                        short="-p",
                    ),
                    Option(
                        "--host",
                        "where the network listens, and can be reached",
                        "IP",
                        default="127.0.0.1",
                    ),
                    Option("--layers", "layers of mixnodes, 1 to 4", "N", default="3"),
                    Option("--width", "mixnodes in each layer", "N", default="1"),
                    Option("--providers", "providers", "N", default="1"),
                    Option(
                        "--folder",
                        "keep keys and undelivered messages here; else they end with the network",
                        "DIR",
                        kind="folder",
                    ),
                ),
            ),
        ),
        examples=(
            "nym-client localnet",
            "nym-client localnet --host 192.0.2.7 --width 3 --providers 2",
        ),
    ),
    Command(
        "demo",
        "nym.cli.demo",
        "Show a local network and two clients that write to each other",
        examples=("nym-client demo",),
    ),
    Command(
        "completion",
        "nym.cli.completion",
        "Print what completes commands and options in a shell",
        (Form(("bash", "zsh", "fish")),),
        examples=(
            "source <(nym-client completion bash)",
            "nym-client completion zsh > ~/.zfunc/_nym-client",
            "nym-client completion fish > ~/.config/fish/completions/nym-client.fish",
        ),
    ),
)

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
