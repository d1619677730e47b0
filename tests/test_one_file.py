"""The one file: what it needs from a system, what it leaves behind, and how it ends.

These tests are skipped unless NYM_CLIENT names the file. They are about the file as such. What the
program does is tested by all other tests, which use NYM_CLIENT, too.
"""

import ctypes
import errno
import json
import os
import platform
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.harness import FILE, PATIENCE, Program, for_launcher, for_one_file, wait_until

NOWHERE = "http://127.0.0.1:1"  # no directory is there
PRIVATE_MOUNTS = str(Path(__file__).with_name("private-mounts"))
EVERY = 1 << 16  # a hundred bytes are damaged in each stretch of this length
MOMENTS = 13  # moments during the start at which each signal is sent

pytestmark = for_one_file
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts folders")


class OneFile(Program):
    """The file itself, without the launcher that PROGRAM may put in front of it."""

    command = (str(FILE),)


def run(home: Path, *arguments: str, **how: object) -> tuple[int, str, str]:
    with OneFile(home, *arguments, **how) as program:  # type: ignore[arg-type]
        return program.end()


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """Environment variables that name a new, empty folder for every kind of temporary file."""
    names = {"HOME": "home", "TMPDIR": "tmp", "XDG_RUNTIME_DIR": "run"}
    for folder in names.values():
        (tmp_path / folder).mkdir()
    return {variable: str(tmp_path / folder) for variable, folder in names.items()}


def left(folders: dict[str, str]) -> list[Path]:
    """All files that are in these folders."""
    return [path for folder in folders.values() for path in Path(folder).rglob("*")]


@for_launcher
def test_it_is_static() -> None:
    head = FILE.read_bytes()[:4096]
    assert head[:4] == b"\x7fELF"
    offset, size, count = (
        struct.unpack_from("<Q", head, 32)[0],
        *struct.unpack_from("<HH", head, 54),
    )
    kinds = [struct.unpack_from("<I", head, offset + size * i)[0] for i in range(count)]
    interpreter = 3  # PT_INTERP: the segment that names a dynamic linker
    assert 1 in kinds
    assert interpreter not in kinds


@for_launcher
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_whenever_it_is_ended(
    tmp_path: Path, folders: dict[str, str], number: signal.Signals
) -> None:
    run(tmp_path, "init", "--id", "alice", "--directory", NOWHERE)
    began = time.monotonic()
    with OneFile(tmp_path, "tcpsocket", "--id", "alice", "-p", "0") as whole:
        whole.line("^Public key")
        duration = time.monotonic() - began
    for moment in range(MOMENTS):
        with OneFile(
            tmp_path,
            *("tcpsocket", "--id", "alice", "-p", "0"),
            environment=folders,
            start_new_session=True,
        ) as program:
            # This test waits for seconds, because it is about moments: the signal has to come at
            # any point of the start.
            time.sleep(duration * 1.2 * (moment + random.random()) / MOMENTS)
            program.process.send_signal(number)
            if number == signal.SIGHUP:  # a client that has started takes it as a reload
                program.process.send_signal(signal.SIGTERM)
            code, _, err = program.end()
        assert "Traceback" not in err
        assert code in (0, 128 + number, -number, -signal.SIGTERM)
        assert not is_running(program.process.pid)
        assert left(folders) == []
    assert run(tmp_path, "tcpsocket", "--id", "nobody")[0] == 5  # the next start isn't held up


@for_launcher
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_of_a_demo_whenever_it_is_ended(
    tmp_path: Path, folders: dict[str, str], number: signal.Signals
) -> None:
    with OneFile(tmp_path, "demo", environment=folders, start_new_session=True) as whole:
        began = time.monotonic()
        assert whole.end()[0] == 0
        duration = time.monotonic() - began
    for moment in range(5):
        with OneFile(tmp_path, "demo", environment=folders, start_new_session=True) as program:
            time.sleep(duration * (moment + random.random()) / 5)
            program.process.send_signal(number)
            code, _, err = program.end()
        assert "Traceback" not in err
        assert code in (0, 128 + number, -number)
        wait_until(lambda: not is_running(program.process.pid))
        assert left(folders) == []


def is_running(group: int) -> bool:
    """Whether any process of the group is still running."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@for_launcher
def test_a_client_that_runs_leaves_no_file_but_its_own(
    tmp_path: Path, folders: dict[str, str]
) -> None:
    run(tmp_path, "init", "--id", "alice", "--directory", NOWHERE)
    with OneFile(tmp_path, "tcpsocket", "--id", "alice", "-p", "0", environment=folders) as program:
        program.line("^Public key")
        assert left(folders) == []
        descriptors = Path(f"/proc/{program.process.pid}/fd").iterdir()
        in_memory = {name for path in descriptors if "memfd" in (name := str(path.readlink()))}
        callbacks = "/memfd:libffi (deleted)"  # newer versions of libffi keep this file
        assert in_memory - {callbacks} == {"/memfd:certifi/cacert.pem (deleted)"}
        assert Path(f"/proc/{program.process.pid}/exe").readlink() == FILE.resolve()
        cmdline = Path(f"/proc/{program.process.pid}/cmdline").read_bytes().split(b"\0")
        assert cmdline[1:-1] == [b"tcpsocket", b"--id", b"alice", b"-p", b"0"]


# System calls that the start makes, but that it can do without: the numbers on x86-64 and aarch64.
DISPENSABLE = {
    "access": (21, 48),  # on aarch64, the C library does it by faccessat
    "madvise": (28, 233),
    "prctl": (157, 167),
    "fallocate": (285, 47),
    "memfd_create": (319, 279),
    "rseq": (334, 293),
    "clone3": (435, 435),
}
IS_AARCH64 = platform.machine() == "aarch64"


def refuse(system_call: str, error: int = errno.EPERM) -> None:
    """Called in a process that is about to start: one system call fails with this error in it.

    Strict seccomp profiles of containers do this.
    """
    # Instructions of BPF: load a word of the data, jump if it is equal, and return.
    load, jump, ret = 0x20, 0x15, 0x06
    allow, deny = 0x7FFF0000, 0x00050000 | error
    program = b"".join(
        struct.pack("<HBBI", *line)
        for line in (
            (load, 0, 0, 0),
            (jump, 0, 1, DISPENSABLE[system_call][IS_AARCH64]),
            (ret, 0, 0, deny),
            (ret, 0, 0, allow),
        )
    )
    code = ctypes.create_string_buffer(program)
    filters = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", 4, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, mode = 38, 22, 2
    assert libc.prctl(no_new_privileges, 1, 0, 0, 0) == 0
    assert libc.prctl(seccomp, mode, ctypes.byref(filters), 0, 0) == 0


def test_a_folder_will_do_where_memory_takes_no_files(
    tmp_path: Path, folders: dict[str, str]
) -> None:
    ran = run(
        tmp_path,
        *("init", "--id", "alice", "--directory", NOWHERE),
        environment=folders,
        preexec_fn=partial(refuse, "memfd_create"),
    )
    assert (ran[0], ran[2]) == (0, "")
    assert left(folders) == []


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", DISPENSABLE)
def test_it_starts_where_a_system_call_is_refused(tmp_path: Path, call: str, error: int) -> None:
    how = partial(refuse, call, error)
    assert run(tmp_path, "init", "--id", "alice", preexec_fn=how)[0::2] == (0, "")


def few_files(limit: int) -> None:
    """Called in a process that is about to start: limit the descriptors that it may have."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


@for_launcher
@pytest.mark.parametrize("limit", [3, 5, 8, 15])
def test_too_few_descriptors_are_a_line(tmp_path: Path, limit: int) -> None:
    code, out, err = run(tmp_path, "--version", preexec_fn=partial(few_files, limit))
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "ulimit -n" in err


def in_namespace(commands: str) -> tuple[str, ...]:
    """A command line that runs the file after shell commands, in a mount namespace of its own."""
    return (PRIVATE_MOUNTS, "sh", "-c", f'set -e; {commands}; exec "$0" "$@"', str(FILE))


@for_launcher
@needs_root
@pytest.mark.parametrize("usable", ["XDG_RUNTIME_DIR", "HOME"])
def test_a_folder_that_takes_no_programs_is_named_and_another_one_used(
    tmp_path: Path, folders: dict[str, str], usable: str
) -> None:
    class Mounted(Program):
        command = in_namespace(
            " && ".join(
                f"mount -t tmpfs -o noexec none {folder}"
                for variable, folder in folders.items()
                if variable not in (usable, "HOME")
            )
        )

    with Mounted(
        tmp_path, "--version", environment=folders, preexec_fn=partial(refuse, "memfd_create")
    ) as program:
        code, out, err = program.end()
    used = folders[usable] + ("/.cache/nym" if usable == "HOME" else "")
    assert (code, out.split()[0]) == (0, "nym-client")
    assert err == (
        f"nym-client: {folders['TMPDIR']} can't hold programs (Operation not permitted), "
        f"so {used} is used.\n"
    )


@for_launcher
@needs_root
def test_a_start_without_any_folder_says_what_to_do(
    tmp_path: Path, folders: dict[str, str]
) -> None:
    class Mounted(Program):
        command = in_namespace(
            " && ".join(f"mount -t tmpfs -o noexec none {folder}" for folder in folders.values())
        )

    with Mounted(
        tmp_path, "--version", environment=folders, preexec_fn=partial(refuse, "memfd_create")
    ) as program:
        code, out, err = program.end()
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "let TMPDIR name one that isn't mounted noexec" in err


@for_launcher
@needs_root
def test_tmp_may_be_noexec_or_read_only(tmp_path: Path) -> None:
    for options in ("noexec", "ro"):

        class Mounted(Program):
            # The file is opened first, because it may be in /tmp, which the mount hides.
            command = (
                *(PRIVATE_MOUNTS, "bash", "-c"),
                f'exec 9< "$0" && mount -t tmpfs -o {options} none /tmp && '
                'exec /proc/self/fd/9 "$@"',
                str(FILE),
            )

        with Mounted(Path("/nowhere"), "--version") as program:
            code, _, err = program.end()
        assert (code, err) == (0, "")


@for_launcher
def test_containers_that_refuse_unknown_system_calls_will_do(tmp_path: Path) -> None:
    ran = run(tmp_path, "demo", preexec_fn=partial(refuse, "clone3"))
    assert (ran[0], ran[2]) == (0, "")


@for_launcher
@needs_root
def test_what_a_machine_has_for_its_own_programs_is_not_read(tmp_path: Path) -> None:
    files = {
        "etc/ld.so.preload": "/nowhere.so\n",
        "etc/nsswitch.conf": "hosts: nowhere\npasswd: nowhere\n",
        "usr/lib/ssl/openssl.cnf": "openssl_conf = a\n[a]\nalg_section = b\n"
        "[b]\ndefault_properties = fips=yes\n",
        "nym-client._pth": "/nowhere\nimport site\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    os.mkfifo(tmp_path / "pyvenv.cfg")  # a program that reads this would hang
    shutil.copy(FILE, tmp_path / "nym-client")
    for name in ("proc", "dev", "tmp"):
        (tmp_path / name).mkdir()

    class Rooted(Program):
        command = (
            *(PRIVATE_MOUNTS, "sh", "-c"),
            'mount --rbind /proc "$0/proc" && mount --rbind /dev "$0/dev" && '
            'exec chroot "$0" /nym-client "$@"',
            str(tmp_path),
        )

    with Rooted(Path("/"), "demo") as program:
        code, _, err = program.end()
    assert (code, err) == (0, "")


@for_launcher
@needs_root
def test_it_does_not_run_with_the_rights_of_its_file(tmp_path: Path) -> None:
    copy = Path(shutil.copy(FILE, tmp_path))
    os.chown(copy, 65534, 65534)
    copy.chmod(0o4755)

    class Setuid(Program):
        command = (str(copy),)

    with Setuid(tmp_path, "--version") as program:
        code, out, err = program.end()
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "it doesn't run setuid" in err


@needs_root
def test_a_home_that_can_not_be_written_is_a_clear_error(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()

    class Mounted(Program):
        command = in_namespace(f"mount -t tmpfs -o ro none {home}")

    with Mounted(home, "init", "--id", "alice") as program:
        code, out, err = program.end()
    assert (code, out, len(err.splitlines())) == (5, "", 1)
    assert re.search(f"{home}/nym/clients/alice can't be used: Read-only file system", err)


@for_launcher
def test_libraries_that_are_named_for_the_machine_s_own_programs_are_left_alone(
    tmp_path: Path,
) -> None:
    foreign = dict.fromkeys(("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH"), "/nowhere/lib.so")
    assert run(tmp_path, "--version", environment=foreign)[0::2] == (0, "")


def test_it_can_not_be_written_while_it_runs(tmp_path: Path) -> None:
    run(tmp_path, "init", "--id", "alice", "--directory", NOWHERE)
    with OneFile(tmp_path, "tcpsocket", "--id", "alice", "-p", "0") as program:
        program.line("^Public key")
        with pytest.raises(OSError, match="Text file busy"):
            FILE.open("r+b")


@for_launcher
def test_damage_is_found_and_said(tmp_path: Path) -> None:
    whole = FILE.read_bytes()
    start = whole.index(b"nymbndl1")
    # Behind the bundle is more of what has to find the damage (spec/bundle.h).
    end = start + int.from_bytes(whole[start + 16 : start + 24], "little")
    middle = (start + end) // 2
    copy = tmp_path / "nym-client"
    for part in (range(start, middle, EVERY), range(middle, end - 100, EVERY)):
        damaged = bytearray(whole)
        for place in part[1:]:
            damaged[place : place + 100] = bytes(100)
        copy.write_bytes(damaged)
        copy.chmod(0o755)
        ran = subprocess.run(
            [copy, "demo"],
            env={"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ran.returncode != 0
        assert b"damaged" in ran.stderr


@for_launcher
@pytest.mark.parametrize("place", [8, 16, 24, 32, 40, 47, 5000, 20_000])
def test_one_changed_bit_in_the_list_of_members_is_found_at_once(
    tmp_path: Path, place: int
) -> None:
    damaged = bytearray(FILE.read_bytes())
    damaged[damaged.index(b"nymbndl1") + place] ^= 4
    copy = tmp_path / "nym-client"
    copy.write_bytes(damaged)
    copy.chmod(0o755)
    ran = subprocess.run(
        [copy, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("nym-client: its file is damaged")


@needs_root
def test_names_are_looked_up_and_certificates_checked_where_nothing_else_is() -> None:
    bare = f"{Path(__file__).with_name('bare')} {FILE.resolve()}"
    network = ("-m", "gevent.monkey", "--module", "tests.private_network", bare)
    ran = subprocess.run(
        ["unshare", "--net", sys.executable, *network],  # noqa: S607
        capture_output=True,
        timeout=2 * PATIENCE,
        check=True,
    )
    untrusting, trusting = map(json.loads, ran.stdout.splitlines())
    (failed,) = [finding for finding in untrusting if not finding["ok"]]
    assert failed["check"] == "directory"
    assert re.search("certificate isn't trusted: .* issuer certificate; ", failed["found"])
    assert [finding["check"] for finding in trusting][-1] == "loop"
    assert all(finding["ok"] for finding in trusting)
