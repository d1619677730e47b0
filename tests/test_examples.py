"""Each example runs against the program, and the documents show the examples unchanged."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import gevent
import pytest

from nym.sockets.http import WebSocket
from nym.sockets.local import ApplicationSocket
from nym.sockets.tcp import TcpSocket
from nym.wire.keys import decode_base58
from tests.documents import DOCUMENTS, ROOT, filled, names
from tests.harness import PATIENCE, Program, Served, beside, free_port, run_program
from tests.test_transcripts import TRANSCRIPTS

pytestmark = pytest.mark.no_cover  # the time goes into a thousand messages for each example

EXAMPLES = ROOT / "examples"
SHOWING = [document for document in DOCUMENTS if names(document)]
MANY = 1000  # messages per connection; people copy an example into a loop, and it must work there


class Running(NamedTuple):
    """The ports of two clients on a network, one for each kind of socket."""

    tcpsocket: str
    websocket: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    with Program(home, "localnet", "-p", "0") as network:
        url = network.line(r"^directory +(http.*)$")[1]
        for command in Running._fields:
            run_program(home, "init", "--id", command, "--directory", url)
            config = home / "nym" / "clients" / command / "config.toml"
            config.write_text(
                re.sub(
                    r"^(average_packet|fetch_message)_delay = .*",
                    r"\1_delay = 0.01",
                    config.read_text(),
                    flags=re.MULTILINE,
                )
            )
        with (
            Program(home, "tcpsocket", "--id", "tcpsocket", "-p", "0") as tcp,
            Program(home, "websocket", "--id", "websocket", "-p", "0") as web,
        ):
            yield Running(*(program.line(r"on port: (\d+)$")[1] for program in (tcp, web)))


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """Run a command, which has to succeed, and return what it prints."""
    ran = beside(
        subprocess.run,
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, f"{command} failed: {ran.stdout}{ran.stderr}"
    return ran.stdout


def says_hello(printed: str, language: str, count: int = 1) -> None:
    own, *messages = printed.splitlines()
    assert len(decode_base58(own.removeprefix("I am "))) == 32
    assert messages == [f"Hello from {language}!"] * count


@contextmanager
def echoing(kind: type[ApplicationSocket]) -> Iterator[str]:
    """The port of a client whose messages come back to it at once, whomever they are sent to."""
    with Served(kind) as served:

        def carry() -> None:
            while True:
                for outgoing, *_ in served.outbox.arrivals():
                    served.deliver(outgoing.message[:])
                    served.outbox.done(outgoing.id)
                gevent.sleep(0.01)

        carrier = gevent.spawn(carry)
        yield str(served.port)
        carrier.kill()


def test_python(running: Running) -> None:
    command = (sys.executable, EXAMPLES / "hello.py")
    says_hello(run(*command, running.tcpsocket), "Python")
    with echoing(TcpSocket) as port:
        says_hello(run(*command, port, "", str(MANY)), "Python", MANY)


def test_python_is_typed_and_takes_any_option(tmp_path: Path) -> None:
    program = (EXAMPLES / "hello.py").read_text() + (
        '\nClient(1).ask(type="send", reliable=True, recipient_address="", message="")\n'
    )
    (tmp_path / "hello.py").write_text(program)
    run(sys.executable, "-m", "mypy", "--strict", tmp_path / "hello.py")


def test_where_nothing_listens_a_sentence_says_so(tmp_path: Path) -> None:
    port = str(free_port())
    commands: list[list[str | Path]] = [[sys.executable, EXAMPLES / "hello.py", port]]
    if shutil.which("nc") and shutil.which("jq"):
        commands.append([EXAMPLES / "hello.sh", port])
    if shutil.which("go"):
        run("go", "build", "-o", tmp_path / "hello", ".", folder=EXAMPLES / "go")
        commands.append([tmp_path / "hello", port])
    for command in commands:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert ran.returncode == 1
        assert re.fullmatch(rf".*no client listens on port {port}; start one: .*\n", ran.stderr)
        assert ran.stdout == ""


@pytest.mark.skipif(not (shutil.which("nc") and shutil.which("jq")), reason="needs nc and jq")
def test_shell(running: Running) -> None:
    says_hello(run(EXAMPLES / "hello.sh", running.tcpsocket), "a shell")
    with echoing(TcpSocket) as port:
        says_hello(run(EXAMPLES / "hello.sh", port, "", str(MANY)), "a shell", MANY)


@pytest.mark.skipif(not shutil.which("go"), reason="needs Go")
def test_go(running: Running, tmp_path: Path) -> None:
    run("go", "vet", "./...", folder=EXAMPLES / "go")
    run("go", "build", "-o", tmp_path / "hello", ".", folder=EXAMPLES / "go")
    says_hello(run(tmp_path / "hello", running.tcpsocket), "Go")
    with echoing(TcpSocket) as port:
        says_hello(run(tmp_path / "hello", port, str(MANY)), "Go", MANY)


@pytest.mark.skipif(not shutil.which("go"), reason="needs Go")
def test_the_go_types_are_current(tmp_path: Path) -> None:
    plugin = tmp_path / "protoc-gen-go"
    run(
        "go",
        "build",
        "-o",
        plugin,
        "google.golang.org/protobuf/cmd/protoc-gen-go",
        folder=EXAMPLES / "go",
    )
    source = (EXAMPLES / "go" / "main.go").read_text()
    command = re.search(r"^//go:generate protoc (.*)$", source, re.MULTILINE)
    assert command is not None
    arguments = command[1].replace("-I../..", "-I.").replace("_out=.", f"_out={tmp_path}").split()
    run(sys.executable, "-m", "grpc_tools.protoc", f"--plugin={plugin}", *arguments)
    made = (tmp_path / "mix" / "mix.pb.go").read_text()
    assert made == (EXAMPLES / "go" / "mix" / "mix.pb.go").read_text()


def has_websocket(node: str | None) -> bool:
    if node is None or not shutil.which("npm"):
        return False
    probe = [node, "--experimental-websocket", "-e", ""]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(
    not has_websocket(shutil.which("node")), reason="needs Node 20.10 or newer, and npm"
)
def test_typescript(running: Running, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("node_modules")
    folder = shutil.copytree(EXAMPLES / "typescript", tmp_path / "typescript", ignore=ignored)
    run("npm", "ci", "--no-audit", "--no-fund", folder=folder)
    run("npm", "run", "build", folder=folder)
    command = ("node", "--experimental-websocket", folder / "hello.js")
    says_hello(run(*command, running.websocket), "TypeScript")
    with echoing(WebSocket) as port:
        says_hello(run(*command, port, str(MANY)), "TypeScript", MANY)
    port = str(free_port())
    nobody = subprocess.run([*command, port], capture_output=True, text=True, check=False)
    assert f"no client listens on port {port}; start one: " in nobody.stderr


@pytest.mark.parametrize("document", SHOWING, ids=lambda path: path.name)
def test_documents_show_the_examples_as_they_are(document: Path) -> None:
    assert document.read_text() == filled(document), "copy it again: python -m tests.documents"


def test_every_example_and_every_transcript_is_shown() -> None:
    assert names(ROOT / "docs" / "sockets.md") == {
        f"examples/{name}" for name in ("hello.py", "hello.sh", "go/main.go", "typescript/hello.ts")
    }
    shown = set.union(*map(names, SHOWING))
    # It shows nothing that a reader would type.
    unshown = {"tests/cli/killed.txt"}
    assert {f"tests/cli/{path.name}" for path in TRANSCRIPTS} - shown == unshown
