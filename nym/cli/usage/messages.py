"""Commands that send and receive messages."""

from nym.cli.command import Argument, Command, Form, Option
from nym.cli.usage.common import OPTIONAL_ID, json_output

_TO = Argument("TO", "an address, or the name of a contact", kind="contact")

_MESSAGE = (
    Option(
        "--message",
        "send this text; while the command runs, other users of this machine can see it in the "
        "list of processes",
        "TEXT",
        short="-m",
    ),
    Option("--lines", "send each line as a message of its own"),
)
_RELIABLE = Option("--reliable", "send until the recipient acknowledges it, who learns who sent it")
_WAIT = Option("--wait", "wait until the recipient acknowledges it; implies --reliable")
_IDS = json_output('print each message\'s id: {"id": "..."}')
_FILE = Argument(
    "FILE",
    "what to send, at most 16 MiB; - or nothing: standard input",
    kind="file",
    is_optional=True,
)

_SEND = Command(
    "send",
    "nym.cli.send",
    "Send a message: a text, a file, or what comes from a pipe",
    (
        Form(
            takes=(
                OPTIONAL_ID,
                _MESSAGE,
                (
                    _RELIABLE,
                    Option(
                        "--plain",
                        "send as the published client does, for recipients that run it; at most "
                        "975 bytes",
                    ),
                ),
                _WAIT,
                Option(
                    "--reply",
                    "let the recipient answer without learning your address: with a tag; if no "
                    "address for that is free, the command says when one will be, and waits",
                ),
                _IDS,
            ),
            arguments=(_TO, _FILE),
        ),
    ),
    notes=(
        "When the command ends with 0, the message is on the client's disk, and the client sends "
        "it at a random time. It may not have been delivered: only --wait waits for that. If the "
        "client has no room for more, the command says what fills it, and waits; nym-client outbox "
        "shows what waits, and takes it back.",
    ),
    examples=(
        'nym-client send --id alice bob --message "see you at eight"',
        "tar c notes | nym-client send --id alice bob",
        "nym-client send --id alice --wait bob report.pdf",
        "tail -f log | nym-client send --id alice --lines bob",
    ),
)

_REPLY = Command(
    "reply",
    "nym.cli.send",
    "Answer a message that came with a tag",
    (
        Form(
            takes=(
                OPTIONAL_ID,
                _MESSAGE,
                Option("--reliable", "send until it is acknowledged"),
                Option("--wait", "wait until it is acknowledged; implies --reliable"),
                Option("--reply", "answer from an address that serves this conversation alone"),
                _IDS,
            ),
            arguments=(Argument("TAG", "what receive shows with the message"), _FILE),
        ),
    ),
    notes=(
        "A message that was sent with --reply has a tag. It stands for an address of its sender "
        "that serves this conversation alone, for some days. The answer tells the sender who "
        "answers, unless the message came to such an address, or the answer is sent with --reply.",
    ),
    examples=(
        'nym-client reply --id bob 8FfEMxt4vNJCDSGDxvLa2R --message "yes, at eight"',
        "nym-client reply --id bob --wait 8FfEMxt4vNJCDSGDxvLa2R photo.jpg",
    ),
)

_RECEIVE = Command(
    "receive",
    "nym.cli.receive",
    "Print the messages that have arrived, and remove them",
    (
        Form(
            takes=(
                OPTIONAL_ID,
                (
                    Option("--follow", "keep waiting for more", short="-f"),
                    Option("--count", "wait until N messages have arrived", "N"),
                ),
                Option(
                    "--timeout",
                    "wait for so long at most; if there were fewer than --count, end with 1",
                    "SECONDS",
                ),
                (
                    Option("--lines", "put a line end behind each message"),
                    json_output(
                        "one object per line: id, received, sender, contact, sealed, "
                        "reply_to, reply_from, data (base64), text"
                    ),
                ),
            ),
        ),
    ),
    notes=(
        "Without --follow, --count and --timeout, it prints the messages that are there now. A "
        "message is removed once it has been written, so none is lost when the reader stops.",
    ),
    examples=(
        "nym-client receive --id bob --count 1 | tar x",
        "nym-client receive --id bob --follow --json | "
        "jq -r '\"\\(.contact // .sender): \\(.text)\"'",
    ),
)

_CHAT = Command(
    "chat",
    "nym.cli.chat",
    "Write to somebody line by line, and read what arrives",
    (
        Form(
            takes=(
                OPTIONAL_ID,
                Option("--anonymous", "don't tell the recipient who writes"),
            ),
            arguments=(_TO,),
        ),
    ),
    notes=(
        "Each line is a message. It is sent until it is acknowledged, and tells the recipient who "
        "wrote it; plain contacts get plain messages. What others write appears with their names. "
        "Ctrl-D ends the chat.",
    ),
    examples=("nym-client chat --id alice bob",),
)

_OUTBOX = Command(
    "outbox",
    "nym.cli.outbox",
    "Show what waits to be sent and why, or take it back",
    (
        Form(
            ("list",),
            takes=(
                OPTIONAL_ID,
                json_output(
                    "as a list of objects, which docs/protocol/sockets.md describes, with the "
                    "contact's name"
                ),
            ),
        ),
        Form(
            ("cancel",),
            takes=(OPTIONAL_ID,),
            arguments=(
                Argument(
                    "MESSAGE",
                    "a message's id, or how it begins, as list shows it",
                    is_repeated=True,
                ),
            ),
        ),
        Form(
            ("cancel",),
            needs=(
                Option(
                    "--to",
                    "all messages to this address or contact, or all answers to this tag",
                    "ADDRESS",
                    kind="contact",
                ),
            ),
            takes=(OPTIONAL_ID,),
        ),
        Form(
            ("cancel",),
            needs=(Option("--all", "every message that waits", is_destructive=True),),
            takes=(OPTIONAL_ID,),
        ),
    ),
    notes=(
        "A message leaves in packets, one by one. Packets that have left can't be taken back, so a "
        "cancelled message may still arrive.",
    ),
    examples=(
        "nym-client outbox list --id alice",
        "nym-client outbox cancel --id alice 3f9a0c",
        "nym-client outbox cancel --id alice --to bob",
    ),
)

MESSAGES = (_SEND, _REPLY, _RECEIVE, _CHAT, _OUTBOX)
