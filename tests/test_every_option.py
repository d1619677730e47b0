"""Each command with each of its options, from the data: in the checkout, and in the built file.

What a library imports only when it is needed is missing from the file without anybody noticing, as
long as nobody comes to that line; here everybody does.
"""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from nym.cli.command import Command, Form, Option
from nym.cli.homes import ALL, CLIENT
from nym.cli.usage import COMMANDS
from nym.network.plan import format_plan
from tests.harness import Program, run_program, wait_until
from tests.planner import plan_of
from tests.postgres import Postgres

KEY = "EkA4Dhmj325XUjpwRvJCu8McmUuGJZncWBbQGVSD7gye"
NODES = {role.name: role.folder for role in ALL if role is not CLIENT}
FOR_EVER = {"tcpsocket", "websocket", "localnet", *NODES}  # until they are told to stop
WATCHING = {("receive", "--follow"), ("status", "--watch"), ("network", "--watch")}
# A local network signs nothing, so nothing that it lists counts with a key.
UNSIGNED = ("network", "--directory-key")
CASES = [
    (command, form, option)
    for command in COMMANDS.values()
    for form in command.forms
    for option in [None, *form.options]
    if option not in form.needs
]


def name(case: tuple[Command, Form, Option | None]) -> str:
    command, form, option = case
    return " ".join([command.name, *form.words[:1], *([option.name] if option else [])])


class Network:
    """A network, and clients alice and bob on it."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.url = url
        self.count = 0
        self.store = ""
        self.file = home / "file"
        self.file.write_text("# something to send")
        self.plan = home / "plan.toml"
        self.plan.write_text(format_plan(plan_of(url)))

    def run(self, *arguments: str) -> str:
        code, out, err = run_program(self.home, *arguments)
        assert (code, err) == (0, ""), arguments
        return out.strip()

    def line(self, command: Command, form: Form, option: Option | None) -> list[str]:
        """A command line that can be carried out. A KeyError: say what to give a new option."""
        self.count += 1
        new = f"new{self.count}"
        client = {"init": new, "delete": new, "tcpsocket": "carol", "websocket": "carol"}.get(
            command.name, new if command.name in NODES else "alice"
        )
        values = {
            "--id": client,
            "--provider": KEY,
            "--directory": self.url,
            "--directory-key": KEY,
            "--proxy": "socks5://127.0.0.1:9",
            "--listen": "127.0.0.1:0" if command.name in NODES else "127.0.0.1",
            "--clients": "127.0.0.1:0",
            "--announce": "127.0.0.1:1789",
            "--announce-clients": "127.0.0.1:9000",
            "--store": self.store,
            "--layer": "1",
            "--workers": "2",
            "--allow": str(self.file),
            "--token-file": str(self.home / "token"),
            "--metrics": "127.0.0.1:0",
            "--port": "0",
            "--count": "1",
            "--message": "hello",
            "--timeout": "1",
            "--seconds": "1",
            "--host": "127.0.0.1",
            "--layers": "2",
            "--width": "2",
            "--providers": "2",
            "--folder": str(self.home / new),
            "--to": "bob",
            "--for": "systemd",
        }
        arguments = {
            "TO": "bob",
            "FILE": str(self.file),
            "NAME": new,
            "NEW": f"{new}.again",
            "ADDRESS": KEY,
            "KEY": "socket.port",
            "VALUE": "9002",
            "MESSAGE": "",
            "PLAN": str(self.plan),
            "DIR": str(self.home / new),
        }
        options = [*form.needs, *([option] if option else [])]
        # There are several clients; nobody can be asked; this machine's own ports may be taken.
        always = {"--id", *(["--yes"] if command.name == "delete" else [])}
        always |= {"--port"} if command.name in FOR_EVER else set()
        if command.name in NODES:  # one is made by its first start, which needs these
            always |= {"--layer", "--listen", "--clients", "--directory"}
        always |= {"--seconds"} if command.name == "observe" else set()
        always |= {"--directory"} if option and option.name == "--directory-key" else set()
        options += [one for one in form.options if one.name in always and one not in options]
        line = [command.name, *form.words[:1]]
        for one in options:
            line += [one.name, values[one.name]] if one.value else [one.name]
        self._prepare(command, form, option, arguments)
        if option and option.name == "--message":
            del arguments["FILE"]  # the text takes its place
        given = (arguments.get(argument.name) for argument in form.arguments)
        return [*line, *(argument for argument in given if argument is not None)]

    def _tag(self) -> str:
        """The tag of a message that bob has sent to alice."""
        alice = self.run("address", "--id", "alice")
        # It may say that it waits for an address.
        code, _, _ = run_program(self.home, "send", "--id", "bob", "--reply", alice, str(self.file))
        assert code == 0
        while True:
            line = self.run("receive", "--id", "alice", "--count", "1", "--json")
            if tag := json.loads(line)["reply_to"]:
                return str(tag)

    def _prepare(
        self, command: Command, form: Form, option: Option | None, arguments: dict[str, str]
    ) -> None:
        if command.name == "reply":
            arguments["TAG"] = self._tag()
        if command.name == "delete":
            self.run("init", "--id", arguments["NAME"], "--directory", self.url)
        if folder := NODES.get(command.name):
            # So that it stops at once.
            place = self.home / "nym" / folder / arguments["NAME"]
            place.mkdir(parents=True)
            (place / "config.toml").write_text(
                "" if command.name == "directory" else f"{command.name}.farewell = 0"
            )
        if command.name == "provider" and form.words:
            arguments["FILE"] = str(self.home / f"{arguments['NAME']}.provider")
        if (command.name, *form.words[:1]) == ("provider", "import"):
            self.run("provider", "export", "--id", arguments["NAME"], arguments["FILE"])
            rmtree(place)
        if (command.name, *form.words[:1]) in (("contacts", "remove"), ("contacts", "rename")):
            self.run("contacts", "add", arguments["NAME"], KEY)
        if (command.name, *form.words[:1]) == ("outbox", "cancel"):
            sent = self.run("send", "--id", "alice", "--json", "--reliable", KEY, str(self.file))
            arguments["MESSAGE"] = re.findall('"([0-9a-f]+)"', sent)[0]
        if command.name == "receive" and option and option.name == "--count":
            self.run("send", "--id", "bob", self.run("address", "--id", "alice"), str(self.file))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    home = tmp_path_factory.mktemp("home")
    with Program(home, "localnet", "-p", "0") as localnet:
        url = localnet.line("^directory +(http.*)$")[1]
        network = Network(home, url)
        for client in ("alice", "bob", "carol"):
            network.run("init", "--id", client, "--directory", url)
        run = ("--port", "0", "--quiet")
        with (
            Program(home, "websocket", "--id", "alice", *run),
            Program(home, "tcpsocket", "--id", "bob", *run),
        ):
            network.run("contacts", "add", "bob", network.run("address", "--id", "bob"))
            for client in ("alice", "bob"):
                check = ("clients", "--id", client)
                wait_until(lambda check=check: run_program(home, *check)[0] == 0)  # type: ignore[misc]
            yield network


@pytest.mark.parametrize("case", CASES, ids=name)
def test_it_does_what_it_says(
    network: Network,
    case: tuple[Command, Form, Option | None],
    request: pytest.FixtureRequest,
) -> None:
    command, form, option = case
    if option and option.name == "--store":
        postgres: Postgres = request.getfixturevalue("postgres")
        network.store = postgres.url(postgres.database())
    line = network.line(*case)
    if command.name in FOR_EVER and not form.words:
        with Program(network.home, *line) as program:
            if command.name == "localnet":
                program.line("^directory ")
            elif command.name in NODES and not (option and option.name == "--quiet"):
                program.line("^Starting ")
            elif option and option.name == "--quiet":
                status = ("status", "--id", line[line.index("--id") + 1])
                wait_until(lambda: run_program(network.home, *status)[0] == 0)
            else:
                program.line("^Public key")
            code, _, err = program.end(signal.SIGTERM)
        assert code == 0, err
    elif option and (command.name, option.name) in WATCHING:
        with Program(network.home, *line) as program:
            if command.name == "status":
                program.line("^address ")
            elif command.name == "network":
                program.line("^all is well")
            else:
                network.run(
                    *("send", "--id", "bob", network.run("address", "--id", "alice")),
                    str(network.file),
                )
                assert program.process.stdout is not None
                assert program.process.stdout.read(6) == b"# some"
            code, _, err = program.end(signal.SIGINT)
        assert code == 130, err
    else:
        code, _, err = run_program(network.home, *line)
        expected = 4 if option and (command.name, option.name) == UNSIGNED else 0
        assert code == expected, (line, err)
    assert "Traceback" not in err
    assert "should not happen" not in err
    assert not list(network.home.glob("nym/crash-*"))
