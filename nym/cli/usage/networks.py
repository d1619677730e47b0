"""Commands that run a whole network."""

from nym.cli.command import Command, Form, Option

_LOCALNET = Command(
    "localnet",
    "nym.cli.localnet",
    "Run a whole network on this machine",
    (
        Form(
            takes=(
                Option(
                    "--port",
                    "the directory's port; otherwise 8080; 0: the system chooses",
                    "PORT",
                    short="-p",
                ),
                Option(
                    "--host",
                    "the address of this machine at which the network listens",
                    "IP",
                    default="127.0.0.1",
                ),
                Option("--layers", "layers of mixnodes, 1 to 4", "N", default="3"),
                Option("--width", "mixnodes in each layer", "N", default="1"),
                Option("--providers", "providers", "N", default="1"),
                Option(
                    "--folder",
                    "keep keys and undelivered messages here; otherwise they are lost when the "
                    "network stops",
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
)

_DEMO = Command(
    "demo",
    "nym.cli.demo",
    "Show a local network, and two clients that write to each other",
    examples=("nym-client demo",),
)

NETWORKS = (_LOCALNET, _DEMO)
