"""Commands that make, run, configure and remove clients."""

from nym.cli.command import Argument, Command, Form, Option
from nym.cli.usage.common import ANY, ID, METRICS, OPTIONAL_ANY, OPTIONAL_ID, json_output

_INIT = Command(
    "init",
    "nym.cli.init",
    "Make a client: its keys, its address and its config.toml",
    (
        Form(
            needs=(ID,),
            takes=(
                Option(
                    "--provider",
                    "the provider to use, as its key or identity; otherwise the client chooses one",
                    "KEY",
                ),
                Option(
                    "--directory",
                    "the network's directory, or several, separated by commas; without it, the "
                    "client uses a local network, and starts one if there is none",
                    "URL",
                ),
                Option(
                    "--directory-key",
                    "the key of the directory, in base58: the client then uses only what this key "
                    "has signed; several directories can have several, separated by commas",
                    "KEY",
                ),
                Option(
                    "--proxy",
                    "a SOCKS proxy through which everything goes, such as "
                    "socks5://127.0.0.1:9050; none: no proxy, whatever the environment names",
                    "URL",
                ),
                Option(
                    "--port",
                    "the port for applications; otherwise 9001; 0: the system chooses",
                    "PORT",
                    short="-p",
                ),
                Option(
                    "--force",
                    "replace existing keys, and with them the address; refused while the client "
                    "runs",
                    is_destructive=True,
                ),
            ),
        ),
    ),
    examples=(
        "nym-client init --id alice",
        "nym-client init --id alice --directory https://directory.example",
    ),
)

_RUN = Form(
    takes=(
        OPTIONAL_ID,
        Option(
            "--listen",
            "where applications connect; otherwise socket.host decides, which is 127.0.0.1 at "
            "first; unix:PATH: a UNIX socket, for this user only",
            "HOST",
        ),
        Option(
            "--port",
            "the port for applications; otherwise socket.port decides, which is 9001 at first; 0: "
            "the system chooses",
            "PORT",
            short="-p",
        ),
        Option("--directory", "the network's directory; otherwise client.directory decides", "URL"),
        Option(
            "--token-file",
            "applications have to show the token in this file first, which is made if there is "
            "none; otherwise socket.token_file decides, which is none at first",
            "FILE",
        ),
        METRICS,
        (
            Option(
                "--reliable",
                "send messages until they are acknowledged, unless a message asks for something "
                "else; recipients learn who sent them",
            ),
            Option(
                "--plain",
                "send as the published client does, for recipients that run it, unless a message "
                "asks for something else",
            ),
        ),
        (
            Option("--quiet", "print only warnings and errors", short="-q"),
            Option("--verbose", "log every step", short="-v"),
        ),
    ),
)

_TCPSOCKET = Command(
    "tcpsocket",
    "nym.cli.run",
    "Run a client; applications connect to it over TCP",
    (_RUN,),
    examples=(
        "nym-client tcpsocket --id alice",
        "nym-client tcpsocket --id alice --listen unix:/run/user/1000/alice.sock",
    ),
)

_WEBSOCKET = Command(
    "websocket",
    "nym.cli.run",
    "Run a client, with a WebSocket and a page for your browser",
    (_RUN,),
    examples=("nym-client websocket --id alice --port 9002",),
)

_LIST = Command(
    "list",
    "nym.cli.clients",
    "List the clients and nodes of this user, and say which ones run",
    (Form(takes=(json_output("as a list of objects: id, role, address, running, problem"),)),),
    examples=("nym-client list",),
)

_DELETE = Command(
    "delete",
    "nym.cli.clients",
    "Delete a client or a node: its keys, its settings and its messages",
    (
        Form(
            needs=(ANY,),
            takes=(Option("--yes", "do not ask", is_destructive=True),),
        ),
    ),
    notes=(
        "Nobody can bring the address back after that, and what waits for it at its provider "
        "can't be read any more. The command asks first, and refuses while the program runs.",
    ),
    examples=("nym-client delete --id alice",),
)

_CONTACTS = Command(
    "contacts",
    "nym.cli.contacts",
    "Give names to addresses, for all clients of this user",
    (
        Form(
            ("add",),
            takes=(
                Option(
                    "--plain",
                    "the contact runs the published client, so messages to it are sent plain",
                ),
            ),
            arguments=(
                Argument("NAME", "the contact's name", kind="contact"),
                Argument("ADDRESS", "its address in base58, or ADDRESS@PROVIDER"),
            ),
        ),
        Form(
            ("rename",),
            arguments=(
                Argument("NAME", "the contact's name", kind="contact"),
                Argument("NEW", "the new name"),
            ),
        ),
        Form(
            ("remove",),
            arguments=(Argument("NAME", "the contact's name", kind="contact"),),
        ),
        Form(
            ("list",), takes=(json_output("as a list of objects: name, address, plain, provider"),)
        ),
    ),
    examples=(
        "nym-client contacts add bob EkA4Dhmj325XUjpwRvJCu8McmUuGJZncWBbQGVSD7gye",
        "echo hello | nym-client send --id alice bob",
        "nym-client contacts rename bob robert",
    ),
)

_KEY = Argument("KEY", "a section and a name in it, such as socket.port")

_CONFIG = Command(
    "config",
    "nym.cli.settings",
    "Show or change the settings of a client or a node, its config.toml",
    (
        Form(
            ("show",),
            takes=(OPTIONAL_ANY, json_output("as a list of objects: key, value, source")),
        ),
        Form(("get",), takes=(OPTIONAL_ANY,), arguments=(_KEY,)),
        Form(
            ("set",),
            takes=(OPTIONAL_ANY,),
            arguments=(
                _KEY,
                Argument("VALUE", "as it is written in the file; texts need no quotes"),
            ),
        ),
        Form(("unset",), takes=(OPTIONAL_ANY,), arguments=(_KEY,)),
    ),
    notes=(
        "unset removes a setting from the file, so that the default applies. A running program "
        "reads its settings again on SIGHUP; some of them need a restart, and its log says so.",
    ),
    examples=(
        "nym-client config show --id alice",
        "nym-client config get --id alice socket.port",
        "nym-client config set --id alice socket.port 9100",
    ),
)

FIRST = (_INIT, _TCPSOCKET, _WEBSOCKET)
LATER = (_CONTACTS, _CONFIG, _LIST, _DELETE)
