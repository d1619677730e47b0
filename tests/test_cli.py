"""The command line: what the program prints, its exit codes, and the files that it makes.

Every test runs the program in a process of its own.
"""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from nym import __version__
from nym.cli.command import HELP
from nym.cli.usage import COMMANDS
from nym.identity import load_identity
from nym.localnet.network import Network
from nym.net.http import http_get
from tests.documents import ROOT
from tests.harness import (
    PATIENCE,
    PROGRAM,
    Program,
    beside,
    printed,
    run_program,
    running,
    serving_http,
    wait_until,
)

VECTORS = Path(__file__).parent / "vectors"
BANNER = r"""

      _ __  _   _ _ __ ___
     | '_ \| | | | '_ \ _ \
     | | | | |_| | | | | | |
     |_| |_|\__, |_| |_| |_|
            |___/

             (client - version 0.4.0)


"""

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
QUESTION = b"\x81\x95\0\0\0\0" + b'{"type":"ownDetails"}'


def folder(home: Path, name: str = "alice") -> Path:
    return home / "nym" / "clients" / name


def test_no_command(tmp_path: Path) -> None:
    expected = BANNER + "usage: --help to see available options.\n"
    assert run_program(tmp_path) == (0, expected, "")


def test_help_and_version(tmp_path: Path) -> None:
    code, out, err = run_program(tmp_path, "--help")
    assert (code, err) == (0, "")
    for command in COMMANDS:
        assert f"  {command} " in out
    assert run_program(tmp_path, "--version") == (
        0,
        f"nym-client {__version__} (protocol 0.4.0)\n",
        "",
    )


@pytest.mark.parametrize("options", [("--version", "--verbose"), ("-v", "--version")])
def test_the_version_of_everything(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, out, err = run_program(tmp_path, *options)
    assert (code, err) == (0, "")
    versions = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert versions["nym-client"] == __version__
    assert versions["protocol"] == "0.4.0"
    for part in ("Python", "gevent", "libsodium", "OpenSSL", "SQLite"):
        assert re.match(r"\d+\.\d+", versions[part]), f"no version of {part}: {versions[part]}"
    is_checkout = PROGRAM.endswith("-m nym")
    assert re.fullmatch("not known: .*" if is_checkout else r"[0-9a-f]{40}.*", versions["commit"])


def test_help_behind_a_command(tmp_path: Path) -> None:
    assert run_program(tmp_path, "-h") == run_program(tmp_path, "--help")
    for name, command in COMMANDS.items():
        assert run_program(tmp_path, name, "--help") == (0, command.help, "")
        assert run_program(tmp_path, "-h", name)[1] == command.help
        assert any(f"nym-client {name}" in example for example in command.examples)
        assert f"  nym-client {name}" in command.usage
        assert HELP in command.options


def test_a_reader_that_stops(tmp_path: Path) -> None:
    with Program(tmp_path, "localnet", "-p", "0", "--width", "2") as program:
        assert program.process.stdout is not None
        assert program.process.stderr is not None
        program.process.stdout.close()
        assert program.process.wait(PATIENCE) == -signal.SIGPIPE
        assert program.process.stderr.read() == b""
        program.process.stdout = None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], 'no command "nonsense"; there are init, tcpsocket'),
        (["sned"], 'no command "sned"; did you mean send?'),
        (
            ["send", "--id", "a", "--relaible", "b"],
            "no option --relaible; did you mean --reliable?",
        ),
        (["config", "shw"], "usage: nym-client config show [--id ID]"),
        (["run"], "nym-client tcpsocket --id ID runs a client"),
        (["completion", "csh"], "usage: nym-client completion (bash | zsh | fish)"),
        (["receive", "--id", "a", "--count", "0"], "--count 0: it must be a whole number from 1"),
        (["contacts", "add", "a", "b"], "ADDRESS b: a key has 32 bytes"),
        (["--nonsense"], "--help"),
        (["init"], "usage: nym-client init --id ID"),
        (["init", "--id"], "usage: nym-client init"),
        (["init", "--id", "a/b"], "--id a/b: an id is the name of a folder"),
        (["init", "--id", "a", "--provider", "x"], "--provider x: a key has 32 bytes"),
        (["init", "--id", "a", "--directory", "x"], "--directory x: "),
        (
            ["tcpsocket", "--id", "a", "--port", "x"],
            "--port x: it must be a whole number from 0 to 65535",
        ),
        (["tcpsocket", "x"], "usage: nym-client tcpsocket"),
        (["websocket", "x"], "usage: nym-client websocket [--id ID] [--listen HOST]"),
        (["send", "--id", "a", "b", "--message", "m", "--lines"], "can't be used together"),
        (["delete"], "--id ID is missing"),
        (["websocket", "--id", "a", "--listen", "unix:"], "--listen unix:: a host is"),
        (
            ["tcpsocket", "--id", "a", "--listen", "unix:x", "-p", "1"],
            "a UNIX socket has no --port",
        ),
        (["localnet", "--layers", "5"], "--layers 5: it must be a whole number from 1 to 4"),
        (["localnet", "--width", "0"], "--width 0: "),
        (["localnet", "--providers", "-1"], "--providers"),
        (["localnet", "--providers"], "[--providers N] [--folder DIR]"),
        (["localnet", "--host", "x.example"], "--host x.example: it must be an IP address"),
        (["localnet", "--host", "0.0.0.0"], "--host 0.0.0.0: it must be one address"),
        (
            ["localnet", "--host", "fe80::1%lo"],
            "--host fe80::1%lo: it must be an address without a scope",
        ),
    ],
)
def test_misuse_is_said_in_a_line_or_two(tmp_path: Path, arguments: list[str], says: str) -> None:
    code, out, err = run_program(tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.startswith("nym-client: ")
    assert len(err.splitlines()) <= 2
    assert not list(tmp_path.iterdir())


def test_init_prints_what_the_published_client_prints_and_the_address(tmp_path: Path) -> None:
    code, out, err = run_program(tmp_path, "init", "--id", "alice")
    assert (code, err) == (0, "")
    address = load_identity(folder(tmp_path)).address
    assert out == (
        f"{BANNER}Initialising client...\n"
        f'Writing keypairs to "{folder(tmp_path)}"...\n'
        "Client configuration completed.\n"
        f"Address: {address}\n"
    )


def test_init_never_overwrites_a_key_unless_forced(tmp_path: Path) -> None:
    run_program(tmp_path, "init", "--id", "alice")
    before = load_identity(folder(tmp_path))
    code, _, err = run_program(tmp_path, "init", "--id", "alice")
    assert code == 5
    assert before.address in err
    assert "--force" not in err, "an error must not suggest an option that destroys keys"
    assert load_identity(folder(tmp_path)) == before
    assert run_program(tmp_path, "init", "--id", "alice", "--force")[0] == 0
    assert load_identity(folder(tmp_path)) != before


def test_init_never_overwrites_a_damaged_key(tmp_path: Path) -> None:
    run_program(tmp_path, "init", "--id", "alice")
    (folder(tmp_path) / "public.pem").unlink()
    (folder(tmp_path) / "private.pem").write_text("half a key")
    assert run_program(tmp_path, "init", "--id", "alice")[0] == 5
    assert (folder(tmp_path) / "private.pem").read_text() == "half a key"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nothing_is_open_to_others_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    home = tmp_path / "home"
    assert run_program(home, "init", "--id", "alice", umask=umask)[0] == 0
    made = [home, *home.rglob("*")]
    assert len(made) == 7
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), (
            f"others may use {path}"
        )


def test_init_keeps_what_it_was_told(tmp_path: Path) -> None:
    key = "Gg5sSynbwVgNRdkBJMkoABa2jT1SgsDqU69FGc4G4eej"
    run_program(
        tmp_path, "init", "--id", "alice", "--provider", key, "--directory", "http://x.example:81"
    )
    config = (folder(tmp_path) / "config.toml").read_text()
    assert f'provider = "{key}"' in config
    assert 'directory = "http://x.example:81"' in config
    assert 'id = "alice"' in config


def test_init_keeps_settings_that_are_there(tmp_path: Path) -> None:
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "config.toml").write_text("[socket]\nport = 1234\n")
    assert run_program(tmp_path, "init", "--id", "alice")[0] == 0
    arguments = ("init", "--id", "alice", "--force", "--directory", "http://x.example")
    assert run_program(tmp_path, *arguments)[0] == 0
    config = (folder(tmp_path) / "config.toml").read_text()
    assert "port = 1234" in config
    assert 'directory = "http://x.example"' in config


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "nym").write_text("in the way")
    code, _, err = run_program(tmp_path, "init", "--id", "alice")
    assert code == 5
    assert "Not a directory" in err
    assert str(folder(tmp_path)) in err


def test_a_client_that_does_not_exist(tmp_path: Path) -> None:
    code, _, err = run_program(tmp_path, "tcpsocket", "--id", "bob")
    assert code == 5
    assert "nym-client init --id bob" in err


def test_a_wrong_configuration(tmp_path: Path) -> None:
    run_program(tmp_path, "init", "--id", "alice")
    with (folder(tmp_path) / "config.toml").open("a") as config:
        config.write("\n[trafic]\n")
    code, _, err = run_program(tmp_path, "tcpsocket", "--id", "alice")
    assert code == 5
    assert re.search(r"config.toml, line \d+: unknown section \[trafic\]", err)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    run_program(tmp_path, "init", "--id", "alice")
    with serving_http(lambda: b"") as url:
        port = url.rpartition(":")[2]
        code, _, err = run_program(tmp_path, "tcpsocket", "--id", "alice", "--port", port)
    assert code == 1
    assert f"can't listen on 127.0.0.1, port {port}" in err


@pytest.mark.parametrize(
    ("command", "kind", "asks", "number"),
    [
        ("tcpsocket", "TCP socket", b'{"type":"ownDetails"}\n', signal.SIGINT),
        ("tcpsocket", "TCP socket", b'{"type":"ownDetails"}\n', signal.SIGTERM),
        ("websocket", "websocket", HANDSHAKE + QUESTION, signal.SIGTERM),
    ],
)
def test_a_run_prints_what_the_published_client_prints_and_ends_cleanly(
    tmp_path: Path, command: str, kind: str, asks: bytes, number: int
) -> None:
    network = Network()
    url = network.start()
    try:
        run_program(tmp_path, "init", "--id", "alice", "--directory", url)
        with Program(tmp_path, command, "--id", "alice", "-p", "0") as program:
            port = int(program.line(rf"^Starting {kind} on port: (\d+)$")[1])
            program.line("^Listening for messages...$")
            address = program.line("^Public key: (.*)$")[1]
            assert address == load_identity(folder(tmp_path)).address
            if command == "websocket":
                program.line(rf"^Page: http://127\.0\.0\.1:{port}/$")
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(asks)
                received = b""
                while address.encode() not in received:
                    received += connection.recv(1000)
            code, out, err = program.end(number)
    finally:
        network.stop()
    assert (code, out) == (0, "")
    assert "Starting nym client" in err
    assert f'Using directory server: "{url}"' in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["tcpsocket", "websocket"])
def test_a_unix_socket(tmp_path: Path, command: str) -> None:
    run_program(tmp_path, "init", "--id", "alice")
    path = tmp_path / "alice.sock"
    with serving_http(lambda: b"") as url:
        arguments = ("--id", "alice", "--directory", url, "--listen", f"unix:{path}")
        with Program(tmp_path, command, *arguments) as program:
            assert program.line("^Starting .* on unix:(.*)$")[1] == str(path)
            program.line("^Public key")
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
            code, _, err = run_program(tmp_path, command, *arguments)
            assert code == 1
            assert "another nym-client is already using" in err
            run_program(tmp_path, "init", "--id", "bob")
            code, _, err = run_program(tmp_path, command, "--id", "bob", *arguments[2:])
            assert code == 1
            assert f"unix:{path}: another program listens there" in err
            code, _, err = program.end(signal.SIGTERM)
    assert code == 0
    assert "other machines" not in err
    assert not path.exists()


def test_a_folder_of_the_published_client_runs(tmp_path: Path) -> None:
    folder(tmp_path).mkdir(parents=True)
    for name in ("private.pem", "public.pem"):
        (folder(tmp_path) / name).write_bytes((VECTORS / f"identity_{name}").read_bytes())
    with serving_http(lambda: b"") as url:
        arguments = ("tcpsocket", "--id", "alice", "-p", "0", "--directory", url)
        with Program(tmp_path, *arguments) as program:
            key = program.line("^Public key: (.*)$")[1]
            assert key == "Gg5sSynbwVgNRdkBJMkoABa2jT1SgsDqU69FGc4G4eej"
            assert program.end(signal.SIGTERM)[0] == 0


def test_localnet_prints_its_nodes_and_ends_cleanly(tmp_path: Path) -> None:
    arguments = ("-p", "0", "--layers", "2", "--width", "2", "--providers", "2")
    with Program(tmp_path, "localnet", *arguments) as program:
        for layer in ("1", "1", "2", "2"):
            assert program.line(r"^mixnode +layer (\d) +127.0.0.1:\d+ +\w{40,44}$")[1] == layer
        for _ in range(2):
            program.line(r"^provider +packets +127.0.0.1:\d+ +\w{40,44}$")
            program.line(r"^ +clients +127.0.0.1:\d+$")
        program.line(r"^directory +http://127.0.0.1:\d+$")
        code, _, err = program.end(signal.SIGINT)
    assert (code, err) == (0, "")


@pytest.mark.parametrize("answer", [None, b"no directory"])
def test_localnet_says_who_has_its_port(tmp_path: Path, answer: bytes | None) -> None:
    with running(Network()) if answer is None else serving_http(lambda: answer) as there:
        url = there.url if isinstance(there, Network) else there
        port = url.rpartition(":")[2]
        code, _, err = beside(run_program, tmp_path, "localnet", "--port", port)
    assert code == 1
    assert "Address already in use; another port can be chosen with --port" in err
    assert (f"start clients with --directory {url}" in err) == (answer is None)


@pytest.mark.parametrize("host", ["127.9.8.7", "::1"])
def test_localnet_elsewhere(tmp_path: Path, host: str) -> None:
    shown = re.escape(f"[{host}]" if ":" in host else host)
    with Program(tmp_path, "localnet", "-p", "0", "--host", host) as program:
        program.line(rf"^mixnode +layer 1 +{shown}:\d+ ")
        url = program.line(rf"^directory +(http://{shown}:\d+)$")[1]
        assert http_get(url + "/api/healthcheck").body == b'{"ok": true}'
        assert program.end(signal.SIGTERM)[0] == 0


def test_a_socket_that_is_open_to_others_is_warned_of(tmp_path: Path) -> None:
    run_program(tmp_path, "init", "--id", "alice")
    config = folder(tmp_path) / "config.toml"
    for host, warned in (("0.0.0.0", True), ("127.0.0.1", False), ("localhost", False)):
        config.write_text(f'[socket]\nhost = "{host}"\nport = 0\n')
        with serving_http(lambda: b"") as url:
            arguments = ("tcpsocket", "--id", "alice", "--directory", url)
            with Program(tmp_path, *arguments) as program:
                program.line("^Public key")
                assert ("from other machines" in program.end(signal.SIGTERM)[2]) is warned


def test_a_demo_that_is_killed_takes_its_clients_along_and_the_next_one_clears_up(
    tmp_path: Path,
) -> None:
    environment = {"TMPDIR": str(tmp_path)}
    with Program(tmp_path, "demo", environment=environment) as demo:
        demo.line("^bob ")
        threads = Path(f"/proc/{demo.pid}/task").iterdir()
        clients = [pid for thread in threads for pid in (thread / "children").read_text().split()]
        assert len(clients) == 2
        os.kill(demo.pid, signal.SIGKILL)
        demo.end()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in clients))
    (folder,) = tmp_path.glob("nym-demo-*")
    os.utime(folder, (0, 0))  # old enough for the next demo to delete it
    (tmp_path / "nym-demo-new").mkdir()
    with Program(tmp_path, "demo", environment=environment) as demo:
        assert demo.end()[0] == 0
    assert [path.name for path in tmp_path.glob("nym-demo-*")] == ["nym-demo-new"]


@pytest.mark.parametrize(("arguments", "code"), [(["version"], 0), (["no-command"], 2)])
def test_the_interpreter_is_not_taken_apart_while_threads_may_start(
    arguments: list[str], code: int
) -> None:
    program = (
        "import atexit, sys\n"
        "from nym.__main__ import main\n"
        "atexit.register(print, 'taken apart')\n"
        "print('before', end='')\n"  # in the buffer, which has to be written all the same
        f"sys.argv = {['nym-client', *arguments]!r}\n"
        "main()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == code
    assert "before" in ran.stdout
    assert "taken apart" not in ran.stdout


def test_a_start_leaves_processes_to_python() -> None:
    program = (
        "import sys, nym.__main__\n"
        "from gevent import monkey\n"
        "print(*filter(monkey.is_module_patched, ['os', 'signal', 'subprocess', 'socket']))\n"
        "print('multiprocessing' in sys.modules)\n"
    )
    assert printed(program) == "socket\nFalse\n"


def test_what_is_loaded_is_looked_through_for_garbage_once() -> None:
    program = (
        "import gc, nym.__main__, nym.cli, nym.cli.clients\n"
        "before = gc.get_stats()[2]['collections']\n"
        "def carry_out(options):\n"
        "    print(gc.isenabled(), gc.get_stats()[2]['collections'] - before)\n"
        "    print(gc.get_freeze_count() > 10_000, len(gc.get_objects()) < 1000)\n"
        "    return 0\n"
        "nym.cli.clients.list = carry_out\n"
        "nym.cli.run(['list'])\n"
    )
    assert printed(program) == "True 1\nTrue True\n"


def test_demo(tmp_path: Path) -> None:
    code, out, err = run_program(tmp_path, "demo")
    assert (code, err) == (0, "")
    assert "Both messages arrived" in out
    assert out.count("mixnode of layer 1") == out.count("mixnode of layer 3") == 2
    assert not list(tmp_path.iterdir())
    recorded = re.findall("<text .*?>(.*)</text>", (ROOT / "docs" / "demo.svg").read_text())
    # A busy machine makes the demo say what it waits for.
    shown = [line for line in out.splitlines() if line and not line.startswith("Waiting for ")]
    assert [_shape(unescape(line)) for line in recorded[1:]] == [_shape(line) for line in shown], (
        "record it again: scripts/record"
    )


def _shape(line: str) -> str:
    """A line of the demo, without what differs: addresses, times, ports."""
    return re.sub(r"[1-9A-HJ-NP-Za-km-z]{40,}|\d+", "#", line).strip()
