"""Commands that run the nodes of a network, one at a time."""

from nym.cli.command import Argument, Command, Form, Option
from nym.cli.usage.common import ANY, METRICS

_ID = ANY._replace(what="the node's name on this machine")
_LOUDNESS = (
    Option("--quiet", "print only warnings and errors", short="-q"),
    Option("--verbose", "log every step", short="-v"),
)
_STORE = Option(
    "--store",
    "the PostgreSQL database for the inboxes, which several processes may share: "
    "postgresql://USER@HOST/DATABASE; otherwise a file in its folder",
    "URL",
)
_DIRECTORY_URL = Option(
    "--directory", "the network's directory, or several, separated by commas", "URL"
)
_ANNOUNCE = Option(
    "--announce",
    "where others find the node, if that isn't where it listens, as behind a NAT",
    "HOST:PORT",
)
_NOTE = (
    "The first start makes a folder for the node, with its keys, and keeps the options in its "
    "config.toml. Later starts need no more than --id. The first SIGTERM or Ctrl-C takes the node "
    "out of the network in order, which takes some seconds; a second one ends it at once."
)

_MIXNODE = Command(
    "mixnode",
    "nym.cli.node",
    "Run a mixnode of a network",
    (
        Form(
            needs=(_ID,),
            takes=(
                Option("--layer", "the layer of the mixnode, from 1 on", "N"),
                Option(
                    "--listen",
                    "where packets are taken; otherwise 0.0.0.0:1789, which is every address",
                    "HOST:PORT",
                ),
                _ANNOUNCE,
                _DIRECTORY_URL,
                Option(
                    "--workers",
                    "processes that take packets; otherwise one for each processor that it may use",
                    "N",
                ),
                METRICS,
                _LOUDNESS,
            ),
        ),
    ),
    notes=(_NOTE,),
    examples=(
        "nym-client mixnode --id mix1 --layer 1 --listen 192.0.2.7 "
        "--directory https://directory.example",
        "nym-client mixnode --id mix1",
    ),
)

_PROVIDER = Command(
    "provider",
    "nym.cli.node",
    "Run a provider of a network, which keeps messages for its clients",
    (
        Form(
            needs=(_ID,),
            takes=(
                Option(
                    "--listen",
                    "where packets are taken; otherwise 0.0.0.0:1789, which is every address",
                    "HOST:PORT",
                ),
                Option(
                    "--clients",
                    "where clients register and pull; otherwise 0.0.0.0:9000",
                    "HOST:PORT",
                ),
                _ANNOUNCE,
                Option(
                    "--announce-clients",
                    "where clients find it, if that isn't where it listens for them",
                    "HOST:PORT",
                ),
                _STORE,
                _DIRECTORY_URL,
                METRICS,
                _LOUDNESS,
            ),
        ),
        Form(
            ("export",),
            needs=(_ID,),
            arguments=(Argument("FILE", "where the whole provider is written to", "file"),),
        ),
        Form(
            ("import",),
            needs=(_ID,),
            takes=(_STORE,),
            arguments=(Argument("FILE", "what `export` has written", "file"),),
        ),
    ),
    notes=(
        _NOTE,
        "`export` writes a stopped provider to a new file: its keys, settings, clients and "
        "messages. `import` makes a provider from that file, on this machine or another. Whoever "
        "has the file can pose as the provider, so only you can read it.",
    ),
    examples=(
        "nym-client provider --id home --listen 192.0.2.8 --clients 192.0.2.8 "
        "--directory https://directory.example",
        "nym-client provider --id home",
        "nym-client provider export --id home home.provider",
    ),
)

_DIRECTORY = Command(
    "directory",
    "nym.cli.node",
    "Run a directory, which tells clients which nodes a network has",
    (
        Form(
            needs=(_ID,),
            takes=(
                Option(
                    "--listen",
                    "where nodes post and clients ask; otherwise 0.0.0.0:8080",
                    "HOST:PORT",
                ),
                Option(
                    "--allow",
                    "take posts from the nodes alone whose identities are in this file",
                    "FILE",
                    kind="file",
                ),
                Option(
                    "--no-client-lists",
                    "keep no lists of clients for those that ask in the form of this program: they "
                    "write to ADDRESS@PROVIDER; published clients get what they need",
                ),
                METRICS,
                _LOUDNESS,
            ),
        ),
    ),
    notes=(
        "The first start makes a folder for the directory, and keeps the options in its "
        "config.toml. Later starts need no more than --id.",
    ),
    examples=("nym-client directory --id main --listen 192.0.2.6",),
)

NODES = (_DIRECTORY, _MIXNODE, _PROVIDER)
