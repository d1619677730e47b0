"""PyInstaller's own file: that it has what the other has, and how its two processes end.

These tests are skipped unless NYM_CLIENT names that file. What the program does is tested by the
tests that .ci/run lists, which tests/standard runs with that file.
"""

import io
import os
import re
import signal
import struct
import zipfile
from functools import partial
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from PyInstaller.archive.readers import CArchiveReader

from tests.harness import FAST, FILE, IS_STANDARD, Program, run_program, wait_until, waits

NOWHERE = "http://127.0.0.1:1"  # no directory is there
LAUNCHERS_OWN = {"importer"}  # modules that only the launcher needs
UNPACKED = "_MEI*"  # the bootloader's folder

pytestmark = pytest.mark.skipif(
    not IS_STANDARD, reason="NYM_CLIENT doesn't name PyInstaller's file"
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a client, alice."""
    home = tmp_path / "home"
    run_program(home, "init", "--id", "alice", "--directory", NOWHERE)
    traffic = "\n".join(f"{name} = {value}" for name, value in vars(FAST).items())
    config = home / "nym" / "clients" / "alice" / "config.toml"
    config.write_text(f'[client]\ndirectory = "{NOWHERE}"\n[traffic]\n{traffic}\n')
    return home


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, for what the bootloader unpacks."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def client(home: Path, folder: Path) -> Program:
    arguments = ("tcpsocket", "--id", "alice", "--port", "0")
    return Program(home, *arguments, environment={"TMPDIR": str(folder)})


def modules(names: list[str]) -> set[str]:
    """The names of modules, from those of files."""
    found = set()
    for name in names:
        for suffix in (*EXTENSION_SUFFIXES, ".so", ".py", ".pyc"):
            if name.endswith(suffix):
                stem = re.sub(r"^python3\.\d+/lib-dynload/", "", name.removesuffix(suffix))
                found.add(stem.replace("/", ".").removesuffix(".__init__"))
                break
    return found


def bundled() -> set[str]:
    """The modules of the launcher's file; spec/bundle.h says how they are listed there."""
    data = FILE.with_name("nym-client").read_bytes()
    data = data[data.index(b"nymbndl1") :]
    (count,) = struct.unpack_from("<Q", data, 8)
    starts = [struct.unpack_from("<Q", data, 40 + 32 * i)[0] for i in range(count)]
    names = [data[start : data.index(b"\0", start)].decode() for start in starts]
    early = [name.removeprefix("early/") for name in names if name.startswith("early/")]
    # A whole module is there a second time, behind the short one that stands for it.
    return {*modules([name for name in names if not name.startswith("whole/")]), *early}


def test_it_has_the_same_modules() -> None:
    if not FILE.with_name("nym-client").exists():
        pytest.skip("the launcher's file wasn't built, to compare with")
    archive, expected = CArchiveReader(str(FILE)), bundled() - LAUNCHERS_OWN
    found = modules(list(archive.toc)) | {*archive.open_embedded_archive("PYZ.pyz").toc}
    found |= {*archive.toc} & expected  # struct, which the bootloader needs before all others
    with zipfile.ZipFile(io.BytesIO(archive.extract("base_library.zip"))) as base:
        found |= modules(base.namelist())
    assert found == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_a_client_that_is_told_to_end(
    home: Path, folder: Path, number: signal.Signals
) -> None:
    with client(home, folder) as program:
        program.line("^Public key")
        assert len([*folder.glob(UNPACKED)]) == 1
        code, _, err = program.end(number)
    assert (code, "Traceback" in err) == (0, False)
    assert [*folder.iterdir()] == []


def test_a_client_ends_with_its_bootloader(home: Path, folder: Path) -> None:
    with client(home, folder) as program:
        program.line("^Public key")
        running = program.pid
        program.end(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{running}").exists())
    # Nobody is left to remove it, which docs/one-file.md says.
    assert len([*folder.glob(UNPACKED)]) == 1


def is_connected(program: Program) -> bool:
    return waits(program.pid)


def test_ctrl_c_reaches_the_program_once(home: Path, folder: Path) -> None:
    with client(home, folder) as running:
        running.line("^Public key")
        for _ in range(5):
            arguments = ("receive", "--id", "alice", "--follow")
            with Program(home, *arguments, start_new_session=True) as program:
                wait_until(partial(is_connected, program))
                os.killpg(program.process.pid, signal.SIGINT)  # as a terminal does
                assert program.end() == (130, "", "")


def test_the_watchdog_of_a_service_manager_is_fed(home: Path, folder: Path) -> None:
    class Watched(Program):
        command = ("sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh", *Program.command)

    environment = {
        "NOTIFY_SOCKET": str(folder / "nobody"),
        "WATCHDOG_USEC": "400000",
        "TMPDIR": str(folder),
    }
    arguments = ("tcpsocket", "--id", "alice", "--port", "0", "--verbose")
    with Watched(home, *arguments, environment=environment) as program:
        program.logged("the service manager was not told WATCHDOG=1")
        assert program.end(signal.SIGTERM)[0] == 0
