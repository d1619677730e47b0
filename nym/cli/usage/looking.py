"""Commands that show how a client and its network are doing, and the program itself."""

from nym.cli.command import Argument, Command, Form, Option
from nym.cli.usage.common import OPTIONAL_ANY, OPTIONAL_ID, json_output

_STATUS = Command(
    "status",
    "nym.cli.look",
    "Show how the client is doing: provider, queues, packets, loss",
    (
        Form(
            takes=(
                OPTIONAL_ANY,
                (
                    json_output("as the JSON object that docs/protocol/sockets.md describes"),
                    Option("--watch", "show it again every second"),
                ),
            ),
        ),
    ),
    examples=(
        "nym-client status --id alice",
        "nym-client status --id alice --json | jq .outbox",
    ),
)

_PAGE = Command(
    "page",
    "nym.cli.look",
    "Print the link to the page of a client that runs with websocket",
    (Form(takes=(OPTIONAL_ID,)),),
    notes=(
        "The page shows how the client is doing, and you can write messages there. Open the link "
        "in a browser on the same machine. Anyone who has it can do whatever you can, so keep it "
        "to yourself, and paste it into the browser: other users can see the arguments of a "
        "command.",
    ),
    examples=("nym-client page --id alice",),
)

_CLIENTS = Command(
    "clients",
    "nym.cli.look",
    "List the addresses that the directory lists",
    (Form(takes=(OPTIONAL_ID, json_output("as a list of objects: address, contact"))),),
    examples=("nym-client clients --id alice",),
)

_ADDRESS = Command(
    "address",
    "nym.cli.look",
    "Print the client's own address, which others send to",
    (
        Form(
            takes=(
                OPTIONAL_ID,
                Option(
                    "--with-provider",
                    "as ADDRESS@PROVIDER, for networks without lists; the client has to run",
                ),
                (
                    json_output("as an object: address, and provider if that is asked for"),
                    Option("--qr", "as a QR code, for a camera"),
                ),
            ),
        ),
    ),
    examples=(
        "ALICE=$(nym-client address --id alice)",
        "nym-client address --id alice --qr",
        "nym-client address --id alice --with-provider",
    ),
)

_CHECK = Command(
    "check",
    "nym.cli.check",
    "Try everything that a client needs, and say what to do",
    (
        Form(
            takes=(
                OPTIONAL_ANY,
                Option(
                    "--running",
                    "for monitoring: judge the running client, fail if it doesn't run, and send "
                    "nothing",
                ),
                json_output("as a list of objects: check, ok, found, advice"),
            ),
        ),
    ),
    notes=(
        "It tries the folder and the settings, the directory, the provider, and a message to the "
        "client itself. If the client doesn't run, the command starts one for the test, so success "
        "doesn't mean that the service runs. With --running, it ends with 0 only if the client "
        "runs and is healthy; docs/operating.md has the thresholds.",
    ),
    examples=("nym-client check --id alice", "nym-client check --running --id alice"),
)

_OBSERVE = Command(
    "observe",
    "nym.cli.observe",
    "Show what others see of the client, and test what it tells them",
    (
        Form(
            takes=(
                OPTIONAL_ID,
                Option("--seconds", "how long to watch; otherwise until Ctrl-C", "N"),
                json_output(
                    "as a JSON object at the end, which docs/protocol/sockets.md describes"
                ),
            ),
        ),
    ),
    notes=(
        "It shows what the line, each first mixnode and the provider see, and tests with "
        "statistics that packets with messages can't be told from cover by their time or their "
        "first mixnode, and that pulls keep their rhythm. On a terminal, it shows this every "
        "second. Send and receive meanwhile: only then is there something to compare.",
        "It ends with 1 if a test fails. One test in 1,000 fails by accident. "
        "docs/security.md says how to see the same without trusting the program.",
    ),
    examples=(
        "nym-client observe --id alice",
        "nym-client observe --id alice --seconds 600 --json",
    ),
)

_PLAN = Argument("PLAN", "the plan of a network, in TOML (docs/network.md)", "file")
_NETWORK_AS_JSON = json_output(
    "as JSON, which docs/protocol/sockets.md describes, and docs/monitoring.md for check"
)

_NETWORK = Command(
    "network",
    "nym.cli.network",
    "Show the network that the client uses; plan or check your own",
    (
        Form(("view",), takes=(OPTIONAL_ID, _NETWORK_AS_JSON)),
        Form(("plan",), arguments=(_PLAN,)),
        Form(("plan",), needs=(Option("--example", "print a plan to begin with"),)),
        Form(
            ("generate",),
            needs=(
                Option("--for", "what runs the nodes: systemd, compose or kubernetes", "ENGINE"),
            ),
            arguments=(
                _PLAN,
                Argument("DIR", "where the files are written to", "folder"),
            ),
        ),
        Form(
            ("check",),
            takes=(
                Option(
                    "--directory",
                    "the network's directory, or several, separated by commas; without it, those "
                    "in the plan",
                    "URL",
                ),
                Option(
                    "--directory-key",
                    "the key, or several, one of which has to sign what a directory lists",
                    "KEY",
                ),
                Option("--watch", "check again every minute, and print what has changed"),
                _NETWORK_AS_JSON,
            ),
            arguments=(_PLAN._replace(is_optional=True),),
        ),
    ),
    notes=(
        "`view` lists the nodes that the client uses, and a digest of them.",
        "The digest is the same for all who see the same network: compare it with others to find "
        "out whether a directory shows you a different one. If the client doesn't run, the command "
        "asks the directory, and what the client remembers of the network doesn't count.",
        "`plan` says what a planned network would carry, and what is weak in it. `generate` writes "
        "what its hosts need: settings, identities, and services. It never replaces an identity, "
        "and run again, it changes only what the plan changes.",
        "`check` tells how a network is, and needs no client. It tries every node, registers at "
        "every provider as a client that exists only for the check, and sends loops through every "
        "node. With a PLAN, it also says in what the network isn't as planned. It ends with 0 if "
        "all is well, 1 if something is wrong, and 4 if no directory can be used.",
    ),
    examples=(
        "nym-client network view --id alice",
        "nym-client network plan --example > friends.toml",
        "nym-client network plan friends.toml",
        "nym-client network generate --for systemd friends.toml friends",
        "nym-client network check --directory https://directory.example",
        "nym-client network check --watch friends.toml",
    ),
)

_VERSION = Command(
    "version",
    "nym.cli.versions",
    "Show the version, as --version does",
    (
        Form(
            takes=(
                Option("--verbose", "also the versions of its parts, for bug reports", short="-v"),
            ),
        ),
    ),
    examples=("nym-client version --verbose",),
)

_COMPLETION = Command(
    "completion",
    "nym.cli.completion",
    "Print a script that completes commands and options in a shell",
    (Form(("bash", "zsh", "fish")),),
    examples=(
        "source <(nym-client completion bash)",
        "nym-client completion zsh > ~/.zfunc/_nym-client",
        "nym-client completion fish > ~/.config/fish/completions/nym-client.fish",
    ),
)

STATE = (_STATUS, _PAGE, _CLIENTS, _ADDRESS, _CHECK, _OBSERVE, _NETWORK)
PROGRAM = (_COMPLETION, _VERSION)
