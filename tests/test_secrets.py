"""Keys in memory: a running client has each key once, and no other process can read it.

As root, the tests search the memory of a client. The rest compares _secrets with other libraries.
"""

import base64
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import pysodium
import pytest

from nym import _secrets, sphinx
from nym._secrets import Secret
from nym.errors import LengthError
from nym.identity import decode_pem, encode_pem, load_identity
from tests.harness import Program, run_program, wait_until

KEY = bytes(range(1, 33))
IS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into others' memory")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("home")
    assert run_program(path, "init", "--id", "alice")[0] == 0
    return path


def regions(process: int) -> Iterator[tuple[int, int, str]]:
    """(begin, end, permissions) of each region of memory that the process can write to."""
    for line in Path(f"/proc/{process}/maps").read_text().splitlines():
        place, permissions, *_ = line.split()
        begin, end = (int(part, 16) for part in place.split("-"))
        if permissions.startswith("rw"):
            yield begin, end, permissions


def memory(process: int) -> bytes:
    parts = []
    with open(f"/proc/{process}/mem", "rb", buffering=0) as file:
        for begin, end, _ in regions(process):
            file.seek(begin)
            with suppress(OSError):  # the process has given this region back meanwhile
                parts.append(file.read(end - begin) or b"")
    return b"".join(parts)


@IS_ROOT
def test_a_running_client_has_each_key_once_and_no_text_of_it(home: Path) -> None:
    with Program(home, "localnet", "--port", "0") as network:
        url = network.line(r"^directory +(http://\S+)$")[1]
        where = ("--port", "0", "--directory", url)
        with Program(home, "tcpsocket", "--id", "alice", *where) as program:
            program.line("^Listening")
            wait_until(lambda: is_running(home), "the client to run")
            assert (
                run_program(home, "send", "--id", "alice", own_address(home), "/dev/null")[0] == 0
            )
            wait_until(lambda: status(home)["inbox"] == 1, "a message")
            seen = memory(program.process.pid)
            locked = Path(f"/proc/{program.process.pid}/status").read_text()
            assert program.end(signal.SIGTERM)[0] == 0
    key = bytes(load_identity(home / "nym" / "clients" / "alice").private_key)
    text = base64.b64encode(key)
    assert seen.count(key) == 1
    assert seen.count(blake2b(key=key, person=b"nym client.db", digest_size=32).digest()) == 1
    # Nor may a part of the key's text be there: a copy that was half overwritten would have one.
    for part in (text[:16], text[-20:], key.hex().encode(), b"PRIVATE KEY-----\r\n" + text[:4]):
        assert part not in seen
    assert int(locked.split("VmLck:")[1].split()[0]) > 0


def status(home: Path) -> dict[str, object]:
    _, out, _ = run_program(home, "status", "--id", "alice", "--json")
    report: dict[str, object] = json.loads(out)
    return report


def is_running(home: Path) -> bool:
    return status(home)["state"] == "running"


def own_address(home: Path) -> str:
    return run_program(home, "address", "--id", "alice")[1].strip()


@IS_ROOT
def test_nobody_else_looks_into_a_client_and_it_leaves_no_core(home: Path, tmp_path: Path) -> None:
    where = ("--port", "0", "--directory", "http://127.0.0.1:1")
    with Program(
        home, "tcpsocket", "--id", "alice", *where, preexec_fn=allow_cores, cwd=tmp_path
    ) as program:
        program.line("^Listening")
        process = program.process.pid
        # Whether other users can look is tested below, as another user: root may read everything.
        limits = Path(f"/proc/{process}/limits").read_text()
        assert any(
            line.split()[:5] == ["Max", "core", "file", "size", "0"] for line in limits.splitlines()
        )
        os.kill(process, signal.SIGABRT)
        program.process.wait()
    assert not list(tmp_path.iterdir())


def allow_cores() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


LOOK = """
import ctypes, os, sys
from nym._secrets import forbid_dumps
# This process changes its user itself, because another user may have no way to the interpreter.
os.setgid(12345)
os.setuid(12345)
ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: as it is after execve
if sys.argv[1] == "forbidden":
    forbid_dumps()
child = os.fork()
if child == 0:  # the same user, another process
    try:
        open(f"/proc/{os.getppid()}/mem", "rb").close()
    except PermissionError:
        os._exit(1)
    os._exit(0)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), os.stat(f"/proc/{os.getpid()}/mem").st_uid)
# Its own files are its own, as before.
folder = os.open("/", os.O_PATH | os.O_DIRECTORY)
os.listdir("/proc/self/fd"), os.stat(f"/proc/self/fd/{folder}/tmp"), os.readlink("/proc/self/exe")
"""


@IS_ROOT
def test_a_process_of_the_same_user_cannot_read_it_and_it_can_read_itself() -> None:
    def looked(how: str) -> list[str]:
        ran = subprocess.run(
            [sys.executable, "-c", LOOK, how],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        return ran.stdout.split()

    assert looked("forbidden") == ["1", "0"]
    assert looked("as ever") == ["0", "12345"]


# The class that keeps a key, and the operations that use it.


def test_a_secret_is_what_it_was_made_of_and_shows_nothing() -> None:
    secret = Secret(KEY)
    assert (bytes(secret), len(secret)) == (KEY, 32)
    assert secret == Secret(KEY)
    assert secret != Secret(bytes(32))
    assert secret != KEY
    assert repr(secret) == str(secret) == "<a secret>"
    with pytest.raises(TypeError):
        memoryview(secret)[0] = 1
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(LengthError):
            Secret(wrong)


def test_products_take_a_secret_as_they_take_bytes() -> None:
    assert sphinx.public_key(Secret(KEY)) == sphinx.public_key(KEY)
    with pytest.raises(LengthError):
        sphinx.multiply(KEY, KEY[:-1])
    with pytest.raises(TypeError):
        sphinx.public_key(bytearray(KEY))  # type: ignore[arg-type]


def test_a_key_is_derived_as_blake2b_does() -> None:
    expected = blake2b(key=KEY, person=b"nym client.db", digest_size=32).digest()
    assert bytes(_secrets.derive(Secret(KEY), b"nym client.db")) == expected
    assert bytes(_secrets.derive(KEY, b"nym client.db")) == expected
    with pytest.raises(LengthError):
        _secrets.derive(KEY, bytes(17))


@pytest.mark.parametrize("message", [b"", b"x", bytes(100_000)])
def test_sealing_is_libsodiums(message: bytes) -> None:
    nonce, about = os.urandom(24), b"entry 5"
    sealed = _secrets.encrypt(Secret(KEY), message, about, nonce)
    assert sealed == pysodium.crypto_aead_xchacha20poly1305_ietf_encrypt(message, about, nonce, KEY)
    assert _secrets.decrypt(Secret(KEY), sealed, about, nonce) == message
    for changed in (sealed[:-1], sealed + b"x", bytes([sealed[0] ^ 1]) + sealed[1:], b""):
        with pytest.raises(ValueError, match="it "):
            _secrets.decrypt(Secret(KEY), changed, about, nonce)
    with pytest.raises(ValueError, match="changed"):
        _secrets.decrypt(Secret(KEY), sealed, b"entry 6", nonce)
    with pytest.raises(LengthError):
        _secrets.encrypt(Secret(KEY), message, about, nonce[:-1])


def test_a_pem_comes_back() -> None:
    text = encode_pem("A KEY", Secret(KEY))
    assert bytes(text) == (
        b"-----BEGIN A KEY-----\r\n" + base64.b64encode(KEY) + b"\r\n-----END A KEY-----\r\n"
    )
    assert decode_pem("A KEY", memoryview(text)) == Secret(KEY)
    _secrets.wipe(text)
    assert not any(text)
