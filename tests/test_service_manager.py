"""A client under a service manager: notifications, the log in the journal, reloads and reports.

The tests play the manager, with a datagram socket as sd_notify(3) describes it. The client is a
process of its own.
"""

import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import pytest

from nym.wire.keys import decode_base58
from tests.harness import FAST, PATIENCE, Lines, Program, run_program

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
NOWHERE = "http://127.0.0.1:1"  # no directory is there
WEB_SITE = "https://chat.example"


class Manager:
    """A service manager that receives what a program sends to NOTIFY_SOCKET."""

    def __init__(self, place: str) -> None:
        self.environment = {"NOTIFY_SOCKET": place}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + place[1:] if place.startswith("@") else place)
        self._socket.settimeout(PATIENCE)

    def __enter__(self) -> "Manager":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def hear(self) -> dict[str, str]:
        """Wait for the next notification, and return its fields."""
        said = self._socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in said.splitlines())

    def rest(self) -> list[dict[str, str]]:
        """All notifications that are left, after the program has ended."""
        self._socket.setblocking(False)
        said = []
        try:
            while True:
                said.append(self.hear())
        except BlockingIOError:
            return said


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with Manager(str(tmp_path / "notify")) as manager:
        yield manager


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a client, alice."""
    home = tmp_path / "home"
    run_program(home, "init", "--id", "alice")
    configure(home)
    return home


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[str]:
    """The URL of a running network's directory."""
    with Program(tmp_path, "localnet", "-p", "0") as network:
        yield network.line(r"^directory +(http.*)$")[1]


def configure(home: Path, **sections: str) -> None:
    """Write alice's config.toml: these sections, fast traffic, any free port, and no network."""
    traffic = "\n".join(f"{name} = {value}" for name, value in vars(FAST).items())
    given = {"traffic": traffic, "client": f'directory = "{NOWHERE}"', **sections}
    given["socket"] = "port = 0\n" + given.get("socket", "")
    text = "".join(f"[{name}]\n{settings}\n" for name, settings in given.items())
    (home / "nym" / "clients" / "alice" / "config.toml").write_text(text)


def client(home: Path, *options: str, command: str = "tcpsocket", **environment: str) -> Program:
    return Program(home, command, "--id", "alice", *options, environment=environment)


def lines(program: Program) -> Lines:
    port = int(program.line(r"^Starting .* on port: (\d+)$")[1])
    return Lines(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))


def reload(program: Program, manager: Manager) -> None:
    """Reload the client, and wait until it says that it is done."""
    begun = time.monotonic_ns() // 1000
    program.process.send_signal(signal.SIGHUP)
    reloading = manager.hear()
    assert reloading.keys() == {"RELOADING", "MONOTONIC_USEC"}
    assert reloading["RELOADING"] == "1"
    assert begun <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.hear() == {"READY": "1"}


def messages(log: str) -> list[str]:
    """The messages of a log in text format, without times and levels."""
    return [re.sub(rf"^{TIME} \w+ +", "", line) for line in log.splitlines()]


# Notifications to the manager.


@pytest.mark.parametrize("kind", ["path", "path with @", "abstract"])
@pytest.mark.parametrize("command", ["tcpsocket", "websocket"])
def test_a_client_is_ready_when_applications_can_connect(
    home: Path, tmp_path: Path, kind: str, command: str
) -> None:
    places = {"path": f"{tmp_path}/n", "path with @": f"{tmp_path}/n@n", "abstract": f"@{tmp_path}"}
    with Manager(places[kind]) as manager:
        with client(home, command=command, **manager.environment) as program:
            ready = manager.hear()
            assert ready["READY"] == "1"
            (port,) = re.findall(r" on port: (\d+)$", ready["STATUS"])
            socket.create_connection(("127.0.0.1", int(port)), timeout=PATIENCE).close()
            assert program.end(signal.SIGTERM)[0] == 0
        assert manager.rest() == [{"STOPPING": "1"}]


def test_the_watchdog_hears_again_and_again_that_greenlets_run(
    home: Path, manager: Manager
) -> None:
    with client(home, **manager.environment, WATCHDOG_USEC="20000") as program:
        assert manager.hear()["READY"] == "1"
        for _ in range(5):
            assert manager.hear() == {"WATCHDOG": "1"}
        program.process.send_signal(signal.SIGTERM)
        while (said := manager.hear()) != {"STOPPING": "1"}:
            assert said == {"WATCHDOG": "1"}
        assert program.end()[0] == 0


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": str(os.getppid())},
    ],
    ids=["none", "never", "nonsense", "another process's"],
)
def test_without_a_watchdog_nothing_is_said_to_it(
    home: Path, manager: Manager, watchdog: dict[str, str]
) -> None:
    with client(home, **manager.environment, **watchdog) as program:
        assert manager.hear()["READY"] == "1"
        for _ in range(3):
            reload(program, manager)  # fails if a notification of the watchdog comes in between
        code, _, err = program.end(signal.SIGTERM)
    assert (code, manager.rest()) == (0, [{"STOPPING": "1"}])
    assert "died" not in err


def test_a_manager_that_is_gone_does_no_harm(home: Path, tmp_path: Path) -> None:
    gone = {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "400000"}
    with client(home, "--verbose", **gone) as program:
        program.logged("the service manager was not told READY=1: .*No such file")
        program.logged("the service manager was not told WATCHDOG=1")
        with lines(program) as application:
            assert application.ask(type="ownDetails")["type"] == "ownDetails"
        code, _, err = program.end(signal.SIGTERM)
    assert code == 0
    assert "should not happen" not in err


# Reloads.


def test_a_reload_says_what_it_takes_over_and_what_takes_a_restart(
    home: Path, manager: Manager
) -> None:
    with client(home, **manager.environment) as program:
        manager.hear()
        reload(program, manager)
        configure(
            home,
            client=f'directory = "{NOWHERE}/"\nreliable = true\nprovider_patience = 5',
            socket=f'allowed_origins = ["{WEB_SITE}"]',
            logging='level = "debug"',
        )
        reload(program, manager)
        reload(program, manager)
        configure(home)
        reload(program, manager)
        reload(program, manager)
        said = messages(program.end(signal.SIGTERM)[2])
    restart = "client.directory has changed; it takes effect after a restart"
    assert [line for line in said if re.match(r"[a-z]+\.[a-z]+|no setting", line)] == [
        "no setting has changed",
        "client.provider_patience is 5.0 now",
        "client.reliable is True now",
        "logging.level is debug now",
        f"socket.allowed_origins is ['{WEB_SITE}'] now",
        restart,
        restart,
        "client.provider_patience is 600.0 now",
        "client.reliable is False now",
        "logging.level is info now",
        "socket.allowed_origins is [] now",
        "no setting has changed",
    ]


def test_a_mistake_in_the_file_changes_nothing_and_is_said(home: Path, manager: Manager) -> None:
    with client(home, **manager.environment) as program:
        manager.hear()
        configure(home, logging='level = "debug"\nformat = "jsn"')
        reload(program, manager)
        configure(home, logging="level = ")
        reload(program, manager)
        configure(home)
        reload(program, manager)
        code, _, err = program.end(signal.SIGTERM)
    stayed = r"ERROR +the settings stay as they were: \S+config.toml"
    assert code == 0
    assert re.search(rf'{stayed}, line \d+: format = "jsn": a format is one of text, json', err)
    assert re.search(rf"{stayed} is no TOML", err)
    assert "no setting has changed" in messages(err)


def test_the_log_changes_with_a_reload(home: Path, manager: Manager, directory: str) -> None:
    configure(home, logging='level = "warning"')
    with client(home, "--directory", directory, **manager.environment) as program:
        manager.hear()
        configure(home, logging='level = "debug"\nformat = "json"')
        reload(program, manager)
        program.logged('"logging.level is debug now"')
        assert json.loads(program.logged('.*"level": "debug".*')[0])["part"].startswith("nym.")
        configure(home, logging='level = "info"')
        reload(program, manager)
        program.logged(rf"^{TIME} INFO +logging.format is text now$")


def test_messages_are_reliable_after_a_reload_that_says_so(
    home: Path, manager: Manager, directory: str
) -> None:
    with client(home, "--directory", directory, **manager.environment) as program:
        manager.hear()
        with lines(program) as alice, lines_again(alice) as inbox:
            own = decode_base58(alice.ask(type="ownDetails")["address"])
            inbox.ask(type="subscribe")
            alice.send(own, b"from nobody")
            assert inbox.receive()[1:4:2] == (b"from nobody", None)
            configure(home, client="reliable = true")
            reload(program, manager)
            alice.send(own, b"from alice")
            received = inbox.receive()
            while received.message != b"from alice":
                received = inbox.receive()
            assert received.sender == own


def lines_again(application: Lines) -> Lines:
    """Open another connection to the same client."""
    place = application.connection.getpeername()
    return Lines(socket.create_connection(place, timeout=PATIENCE))


def test_messages_stay_sealed_until_a_restart(home: Path, manager: Manager) -> None:
    with client(home, **manager.environment) as program, lines(program) as alice:
        manager.hear()
        configure(home, privacy="seal = false")
        reload(program, manager)
        own = decode_base58(alice.ask(type="ownDetails")["address"])
        alice.send(own, bytes(2000))  # too long for a plain message, so it is accepted as sealed
        logged = program.end(signal.SIGTERM)[2]
        assert "privacy.seal has changed; it takes effect after a restart" in logged


def test_web_sites_may_use_the_websocket_after_a_reload_that_says_so(
    home: Path, manager: Manager
) -> None:
    with client(home, command="websocket", **manager.environment) as program:
        port = int(manager.hear()["STATUS"].rpartition(" ")[2])
        assert answer_to_web_site(port) == b"HTTP/1.1 403 Forbidden"
        configure(home, socket=f'allowed_origins = ["{WEB_SITE}"]')
        reload(program, manager)
        assert answer_to_web_site(port).startswith(b"HTTP/1.1 101 ")


def answer_to_web_site(port: int) -> bytes:
    """The first line of the answer to a WebSocket handshake from a web site."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Origin: " + WEB_SITE.encode() + b"\r\n\r\n"
        )
        with connection.makefile("rb") as answer:
            return answer.readline().rstrip()


# The log.


def test_json_is_an_object_a_line(home: Path, manager: Manager) -> None:
    configure(home, logging='format = "json"')
    with client(home, **manager.environment) as program:
        manager.hear()
        reload(program, manager)
        logged = [json.loads(line) for line in program.end(signal.SIGTERM)[2].splitlines()]
    assert len(logged) >= 3
    for line in logged:
        assert line.keys() == {"time", "level", "part", "message"}
    assert logged[0]["message"] == "Starting nym client"
    assert logged[0]["part"] == "nym.cli.run"


class InJournal(Program):
    """A program whose environment says that its standard error is the journal."""

    command = (
        "sh",
        "-c",
        'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"',
        "sh",
        *Program.command,
    )


def test_in_the_journal_lines_begin_with_their_level_and_have_no_time(
    home: Path, manager: Manager
) -> None:
    arguments = ("tcpsocket", "--id", "alice")
    with InJournal(home, *arguments, environment=manager.environment) as program:
        manager.hear()
        configure(home, socket="port = 1")
        reload(program, manager)
        err = program.end(signal.SIGTERM)[2]
    said = err.splitlines()
    assert said[0] == "<6>Starting nym client"
    assert all(re.match("<[3467]>[^<0-9]", line) for line in said)
    assert any(line.startswith("<3>the settings stay as they were") for line in said)


def test_another_stream_than_the_journal_has_times(home: Path, manager: Manager) -> None:
    with client(home, **manager.environment, JOURNAL_STREAM="1:1") as program:
        manager.hear()
        err = program.end(signal.SIGTERM)[2]
    assert re.match(rf"{TIME} INFO +Starting nym client\n", err)


def test_quiet_prints_nothing_in_a_good_start(home: Path, manager: Manager, directory: str) -> None:
    options = ("--quiet", "--directory", directory)
    with client(home, *options, **manager.environment) as program:
        port = int(manager.hear()["STATUS"].rpartition(" ")[2])
        with Lines(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) as alice:
            own = decode_base58(alice.ask(type="ownDetails")["address"])
            alice.ask(type="subscribe")
            alice.send(own, b"hello")
            assert alice.receive().message == b"hello"
        reload(program, manager)
        assert program.end(signal.SIGTERM) == (0, "", "")


def test_verbose_logs_in_detail(home: Path, directory: str) -> None:
    with client(home, "--verbose", "--directory", directory) as program:
        program.logged(rf"^{TIME} DEBUG +the network's layers have \[1, 1, 1\] mixnodes")


# Reports of unforeseen errors.

SECRET = "a secret"
PROVOKED = f"""
from gevent import monkey; monkey.patch_all()
import sys
from nym.cli import run
def fail(*_):
    value = "{SECRET}"
    try:
        raise KeyError(value)
    except KeyError as error:
        try:
            raise RuntimeError(value) from error
        except RuntimeError as other:
            raise error from other  # each is the other's cause
"""


def provoked(home: Path, patch: str, *arguments: str) -> Program:
    """The program, with this patch applied before it runs."""

    class Patched(Program):
        command = (
            sys.executable,
            "-c",
            f"{PROVOKED}\n{patch}\nsys.exit(run(sys.argv[1:]))",
        )

    return Patched(home, *arguments)


def check_report(home: Path, sentence: str) -> None:
    """The one report is readable by this user only; it says where the error arose, and no more."""
    assert "an error that should not happen (KeyError); please send" in sentence
    assert SECRET not in sentence
    (report,) = (home / "nym").glob("crash-*.txt")
    assert sentence.rstrip().endswith(f": {report}")
    assert S_IMODE(report.stat().st_mode) == 0o600
    text = report.read_text()
    assert re.search(r"^builtins.KeyError$.*^  <string>:\d+ fail$", text, re.MULTILINE | re.DOTALL)
    assert text.count("RuntimeError") == 1
    assert SECRET not in text
    assert "alice" not in text.replace(str(home), "")


def test_an_unforeseen_error_of_a_command_is_a_sentence_and_a_report(home: Path) -> None:
    patch = "import nym.cli.look; nym.cli.look.load_identity = fail"
    with provoked(home, patch, "address", "--id", "alice") as program:
        code, out, err = program.end()
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("nym-client: ")
    check_report(home, err)


def test_an_unforeseen_error_of_a_running_client_is_a_line_and_a_report(home: Path) -> None:
    patch = "import nym.client.refresher; nym.client.refresher.Refresher.run = fail"
    with provoked(home, patch, "tcpsocket", "--id", "alice") as program:
        line = program.logged("ERROR +topology refresher died; it is started again: .*")[0]
        _, _, err = program.end(signal.SIGKILL)
    assert "Traceback" not in err
    check_report(home, line)


def test_an_unforeseen_error_of_a_reload_is_a_line_and_a_report(home: Path) -> None:
    patch = "import nym.cli.reload; nym.cli.reload.values_of = fail"
    with provoked(home, patch, "tcpsocket", "--id", "alice") as program:
        program.line("^Public key")
        program.logged("Using directory server")
        with lines_of_control(home) as control:
            assert control.ask(type="status")["type"] == "status"
            program.process.send_signal(signal.SIGHUP)
            line = program.logged("ERROR +a greenlet died: .*")[0]
            assert control.ask(type="status")["type"] == "status"
        code, _, err = program.end(signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in err
    check_report(home, line)


def lines_of_control(home: Path) -> Lines:
    """Connect to alice's control socket, as commands do."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(str(home / "nym" / "clients" / "alice" / "client.sock"))
    return Lines(connection)
