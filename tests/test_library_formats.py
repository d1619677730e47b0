"""What the library says and reads; and that it agrees with the client, of which it has nothing."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import nym
from nym import application, errors
from nym.application import files, lines, places, requests
from nym.application.addresses import is_address
from nym.application.errors import ProtocolError, RefusedError, refusal
from nym.application.files import File
from nym.application.lines import LineBuffer
from nym.cli.homes import CLIENT, home
from nym.contacts import is_address as is_address_of_the_client
from nym.wire.answers import MessageProgress
from nym.wire.keys import encode_base58
from nym.wire.reports import StatusReport
from nym.wire.reports import WaitingMessage as WaitingReport
from nym.wire.sizes import LONGEST_SEALED
from tests.documents import ROOT

FILES = ("__init__.py", "aio.py", "py.typed", "application")  # as docs/library.md lists them


@given(st.binary(min_size=30, max_size=34), st.binary(min_size=32, max_size=32))
def test_addresses_are_told_from_names(key: bytes, provider: bytes) -> None:
    address = encode_base58(key)
    for text in (address, f"{address}@{encode_base58(provider)}", f"{address}@", f"{address}@bob"):
        assert is_address(text) == is_address_of_the_client(text)


@given(st.text() | st.text("123ABCabc@"))
def test_whatever_people_write(text: str) -> None:
    assert is_address(text) == is_address_of_the_client(text)


SAID = b'{"type":"message","id":"1"}\n{"type":"ack"}\n'
HEARD = [{"type": "message", "id": "1"}, {"type": "ack"}]


def test_lines_may_be_cut_anywhere() -> None:
    assert LineBuffer().feed(SAID) == HEARD
    buffer = LineBuffer()
    assert [one for byte in SAID for one in buffer.feed(bytes([byte]))] == HEARD
    assert buffer.feed(b'{"type":') == []
    assert buffer.feed(b'"end"}\n') == [{"type": "end"}]


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.1 400 Bad Request\r", b"[]", b"{}", b"\xff", b'{"type":1}', b"[" * 100_000],
)
def test_what_is_no_answer(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="doesn't speak JSON lines"):
        LineBuffer().feed(line + b"\n")


def test_a_line_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 100)
    buffer = LineBuffer()
    assert buffer.feed(bytes(100)) == []
    with pytest.raises(ProtocolError, match="more than 100 bytes"):
        buffer.feed(b"0")


@given(st.text(), st.binary())
@example("\U0001f600" * 300, b"")
def test_files_come_back(name: str, data: bytes) -> None:
    file = files.parse(files.head(name) + data)
    assert file == File(files.harmless(name), data)
    # Its name stays the same wherever it goes.
    assert files.harmless(file.name) == file.name
    assert len(files.head(name)) <= len(files.MAGIC) + files.LONGEST_HEAD


# The client's page makes the same of them (tests/browser/test_client_page.py).
NAMES = [
    ("photo.jpg", "photo.jpg"),
    ("../../etc/passwd", "passwd"),
    ("..\\..\\boot.ini", "boot.ini"),
    (".bashrc", "bashrc"),
    ("...", "file"),
    ("", "file"),
    ("/", "file"),
    ("gpj.\u202eexe", "gpj._exe"),
    ("a\nb:c", "a_b_c"),
    ("C:\\x\\y.txt", "y.txt"),
    ('<b>"|?*', "_b_____"),
    ("a  \t b\u2028c", "a _ b_c"),
    ("x" * 300, "x" * 100),
    ("x" * 96 + ".jpg", "x" * 96 + ".jpg"),
    ("x" * 97 + ".jpg", "x" * 96 + ".jpg"),
    ("\U0001f600" * 70 + "x" * 50 + ".tar.gz", "\U0001f600" * 70 + "x" * 27 + ".gz"),
    ("x" * 80 + ". ." * 20 + ".jpeg", "x" * 80 + ".jpeg"),
    ("x." + "y" * 300, "x." + "y" * 98),
]


@pytest.mark.parametrize(("name", "harmless"), NAMES)
def test_a_stranger_s_name_for_a_file(name: str, harmless: str) -> None:
    message = files.MAGIC + json.dumps({"name": name}).encode() + b"\nbytes"
    assert files.parse(message) == (harmless, b"bytes")


@pytest.mark.parametrize(
    "message",
    [
        b"nym-file 2\n{}\n",
        b"nym-file 1\n",
        b"nym-file 1\n{}\n",
        b'nym-file 1\n{"name":1}\n',
        b"nym-file 1\n[]\n",
        b"nym-file 1\n" + b"[" * 999 + b"\n",
        b'nym-file 1\n{"name":"' + b"x" * 1000 + b'"}\n',
    ],
)
def test_what_is_no_file(message: bytes) -> None:
    assert files.parse(message) is None


@pytest.mark.parametrize("configured", ["/elsewhere", "relative", "", None])
def test_the_folder_is_that_of_the_program(
    configured: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    if configured is not None:
        monkeypatch.setenv("XDG_CONFIG_HOME", configured)
    socket = home(CLIENT, "alice").socket
    assert places.clients_folder() == socket.parent.parent
    assert socket.name == places.CONTROL_SOCKET


def test_where_to_connect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "nym/clients/alice"
    folder.mkdir(parents=True)
    assert places.place("alice", None, None).address == folder / "client.sock"
    assert places.place(None, None, 9001).address == ("127.0.0.1", 9001)
    assert places.place(None, "::1", 9001).address == ("::1", 9001)
    assert places.place(None, "unix:/run/alice", None).address == Path("/run/alice")
    for wrong in [
        (None, None, None),
        (None, "host", None),
        ("alice", None, 1),
        ("alice", "host", 1),
    ]:
        with pytest.raises(ValueError, match="either the client's id, or a port"):
            places.place(*wrong)
    with pytest.raises(nym.NotRunningError, match=r"nym-client init --id 'al ice'$"):
        places.place("al ice", None, None)


def test_every_refusal_of_a_client_has_a_class() -> None:
    kinds = [errors.RequestError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.code for kind in kinds} == RefusedError.kinds.keys()
    for code, own_kind in RefusedError.kinds.items():
        refused = refusal(code, "why")
        assert (type(refused), refused.code, str(refused)) == (own_kind, code, "why")
    later = refusal("news", "why")
    assert (type(later), later.code) == (RefusedError, "news")


def test_limits_are_those_of_the_client() -> None:
    assert requests.LONGEST_MESSAGE == LONGEST_SEALED


def test_errors_can_be_copied_as_between_processes() -> None:
    for error in (nym.DeliveryError("1", "failed"), refusal("busy", "why")):
        copied = copy.copy(error)
        assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))
    assert str(nym.DeliveryError("1", "failed")) == "the message 1 could not be delivered"


def test_fields_are_those_of_the_client() -> None:
    assert nym.Status.__annotations__.keys() == set(StatusReport._fields)
    assert nym.WaitingMessage.__annotations__.keys() == WaitingReport.__annotations__.keys()
    assert {"id", *nym.Progress._fields} == set(MessageProgress._fields)


def test_a_long_message_is_shown_short() -> None:
    message = nym.Message("1", b"short", None, True, 0.0)
    assert "data=b'short', sender=None" in repr(message)
    assert len(repr(message._replace(data=bytes(1 << 20)))) < 400
    assert "... (1048576 bytes)" in repr(message._replace(data=bytes(1 << 20)))


def test_what_is_public() -> None:
    assert nym.__all__ == application.__all__
    assert all(getattr(nym, name).__doc__ for name in nym.__all__)


def run(code: str, folder: Path) -> str:
    """Run a program for which nothing is installed; `folder` is where it finds its modules."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return ran.stdout


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder with the files of the library, and no others."""
    package = tmp_path / "nym"
    package.mkdir()
    for name in FILES:
        path = ROOT / "nym" / name
        if path.is_dir():
            shutil.copytree(path, package / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, package)
    return tmp_path


def test_it_needs_its_own_files_only(alone: Path) -> None:
    loaded = run("import nym; nym.connect; print(*sys.modules)", alone).split()
    assert "nym.application.core" in loaded
    # What takes long to load, and threads don't need.
    assert not {"asyncio", "dataclasses", "inspect", "ssl", "subprocess"} & {*loaded}
    assert (
        run("import nym.aio; print(nym.aio.connect.__module__)", alone) == "nym.application.aio\n"
    )


def test_the_client_does_not_load_it() -> None:
    loaded = run("import nym; print(*sys.modules)", ROOT).split()
    assert [name for name in loaded if name.startswith("nym")] == ["nym"]


def test_what_is_public_is_listed_without_being_loaded(alone: Path) -> None:
    listed = run("import nym, sys; print(*dir(nym), *sys.modules)", alone).split()
    assert {"__version__", *nym.__all__} <= {*listed}
    assert "nym.application" not in listed


def test_a_misspelt_name(alone: Path) -> None:
    said = run("import nym\ntry: nym.conn\nexcept AttributeError as error: print(error)", alone)
    assert said == "module 'nym' has no attribute 'conn'\n"


def test_mypy_finds_mistakes_in_programs(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import nym\n"
        "import nym.aio\n"
        'with nym.connect("alice") as client, client.messages() as messages:\n'
        "    for message in messages:\n"
        "        client.send(message.sender, message.data)\n"
        '        print(client.status()["stat"])\n'
        "nym.conn()\n"
        'client.send("bob", 1)\n'
        "def text() -> str:\n"
        "    with client.messages() as messages:\n"
        "        return next(messages).text\n"
        "async def main() -> None:\n"
        '    async with nym.aio.connect("alice") as client:\n'
        '        client.send("bob", "")\n'
    )
    command = [sys.executable, "-m", "mypy", "--strict", str(program)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert re.findall(r":(\d+): error:", ran.stdout) == ["5", "6", "7", "8", "14"], ran.stdout
