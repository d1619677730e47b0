"""Packs what PyInstaller's analysis found into the one file (docs/one-file.md).

The file is the launcher, with the bundle in it: compiled modules, libraries, and the program that
starts Python. bundle.h has the bundle's layout; launcher.c says how it starts.
"""

import marshal
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import zstandard
from compiling import compiled
from contents import HERE, NAMESPACE, PROJECT, Files, output, replaced

HEAD, RECORD = struct.Struct("<8sQQQ"), struct.Struct("<QQQQ")
CHECKSUM = struct.Struct("<Q")  # behind the head
WHOLE = "whole/"  # before the name of a module for which another one stands (importer.py)
LEVEL = 19  # of zstd; higher ones need more memory, to pack and to unpack
NO_FILE = b"/proc/self/no-file"  # a path that never exists

# Modules that Python imports at its start, before importer.py can find modules for it.
EARLY_PACKAGES = ["encodings", "importlib"]
EARLY = [*EARLY_PACKAGES, "encodings.aliases", "encodings.utf_8", "warnings", "importer"]
if sys.version_info >= (3, 14):
    EARLY.append("_py_warnings")  # the greater part of warnings

# What a client imports at its start. What it compiles meanwhile of regular expressions is packed.
STARTED = ["nym.__main__", "nym.cli.run", "nym.sockets.tcp", "nym.sockets.http"]

# The dynamic linkers of glibc that the launcher can enter, one for each architecture that it knows.
LINKERS = ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"]
PROGRAM = "nym-client"

C_FLAGS = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fstack-protector-strong"]
LINK_FLAGS = ["-s", "-Wl,--build-id=none", "-Wl,--gc-sections", "-Wl,-z,relro,-z,now"]


def make(files: Files, libraries: Files, commit: str, work: Path, target: Path) -> Files:
    """Write the one file for that commit; returns {name in the file: path it comes from}."""
    originals = files
    files = replaced(files, "launcher") | {"importer.py": HERE / "importer.py"}
    whole = {name: originals[name] for name, path in files.items() if _asks_for_rest(path)}
    needs = {name: _needed(path) for name, path in libraries.items()}
    if missing := set[str]().union(*needs.values()) - libraries.keys():
        raise SystemExit(f"libraries are not found: {', '.join(sorted(missing))}")
    at_start = _at_start(needs)
    later = {name: sorted(needed - {*at_start}) for name, needed in sorted(needs.items())}

    program = _compile(
        work / "program", ["-fPIE", "-pie"], ["program.c", "bundle.c"], *_python_flags()
    )
    behind = {f"{WHOLE}{name}": path for name, path in whole.items()}
    members = _members(files | behind | libraries | {PROGRAM: program})
    members["nym/_commit.py"] = compiled("nym/_commit.py", f'COMMIT = "{commit}"\n'.encode())
    members["needs"] = marshal.dumps(later)
    members["patterns"] = _patterns()
    linker = at_start[0]
    members[linker] = _without_preload(members[linker])
    (work / "bundle").write_bytes(packed(members))
    launcher = _compile(
        work / "launcher",
        ["-static-pie"],
        ["launcher.c", "bundle.c"],
        f'-DBUNDLE="{work / "bundle"}"',
        "-DNEEDED=" + ", ".join(f'"{name}"' for name in [*at_start, PROGRAM]),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(launcher, target)
    return dict(sorted((files | whole).items()))


def _asks_for_rest(path: Path) -> bool:
    """Whether a file is one of spec/replaced that needs the module behind it, too (importer.py)."""
    return path.is_relative_to(HERE / "replaced") and "importer.rest_of(" in path.read_text()


def _members(files: Files) -> dict[str, bytes]:
    """{name: bytes to pack} for these files; Python's sources are compiled."""
    members = {}
    for name, path in files.items():
        data = b"" if str(path) == NAMESPACE else path.read_bytes()
        is_module = name.endswith(".py")
        members[name] = compiled(name.removeprefix(WHOLE), data) if is_module else data
    for name in EARLY:
        stem = name.replace(".", "/")
        package = members.pop(f"{stem}/__init__.py", None)
        members[f"early/{name}"] = package or members.pop(f"{stem}.py")
    return members


def _python_library() -> str:
    return str(sysconfig.get_config_var("INSTSONAME"))


def _at_start(needs: Mapping[str, set[str]]) -> list[str]:
    """What the launcher unpacks before the program starts: the linker, then libraries.

    Each library comes behind those that it needs. Only the linker needs nothing.
    """
    order: list[str] = []

    def add(name: str) -> None:
        if name not in order:
            for needed in sorted(needs[name]):
                add(needed)
            order.append(name)

    add(_python_library())
    add("libgcc_s.so.1")  # nothing is linked with it, but C++ and pthread_exit load it by its name
    assert order[0] in LINKERS
    return order


def _without_preload(linker: bytes) -> bytes:
    """The dynamic linker, changed so that it doesn't read /etc/ld.so.preload.

    That file names libraries for all programs of a machine. They are made for its own C library,
    and could stop this program. The path in the linker is replaced by one of the same length.
    """
    before = b"\0/etc/ld.so.preload\0"
    if linker.count(before) != 1 or len(NO_FILE) != len(before) - 2:
        raise SystemExit("the dynamic linker isn't as expected: /etc/ld.so.preload")
    return linker.replace(before, b"\0" + NO_FILE + b"\0")


def _needed(path: Path) -> set[str]:
    return set(re.findall(r"NEEDED\s+(\S+)", output("objdump", "-p", path)))


def _patterns() -> bytes:
    # In a process of its own, which has compiled nothing yet.
    command = [sys.executable, "-OO", str(HERE / "patterns.py"), *STARTED]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout


def _python_flags() -> list[str]:
    variable = sysconfig.get_config_var
    early = ", ".join(
        f'{{.name = "{name}", .is_package = {int(name in EARLY_PACKAGES)}}}' for name in EARLY
    )
    return [
        f"-DEARLY_MODULES={early}",
        f'-DNO_FILE="{NO_FILE.decode()}"',
        f"-I{sysconfig.get_path('include')}",
        f"-L{variable('LIBDIR')}",
        f"-lpython{variable('LDVERSION')}",
    ]


def _compile(target: Path, way: list[str], files: list[str], *flags: str) -> Path:
    paths = [HERE / file for file in files]
    # In a file of their own, so that tests/sanitize can compile the same program in another way.
    kept = target.with_name(f"{target.name}.flags")
    kept.write_text("\n".join(map(shlex.quote, [*flags, "-l:libzstd.a"])))
    output("cc", *C_FLAGS, *LINK_FLAGS, *way, "-o", target, *paths, f"@{kept}")
    return target


def packed(members: Mapping[str, bytes]) -> bytes:
    """The bundle; bundle.h has its layout."""
    names = sorted(members, key=str.encode)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        frames = list(pool.map(_compressed, (members[name] for name in names)))
    text, records = b"", b""
    name_offset = HEAD.size + CHECKSUM.size + RECORD.size * len(names)
    first = data_offset = name_offset + sum(len(name.encode()) + 1 for name in names)
    for name, data in zip(names, frames, strict=True):
        size = len(members[name])
        records += RECORD.pack(name_offset + len(text), data_offset, len(data), size)
        text += name.encode() + b"\0"
        data_offset += len(data)
    head = HEAD.pack(b"nymbndl1", len(names), data_offset, first)
    checksum = CHECKSUM.pack(_checksum(head + records + text))
    return b"".join([head, checksum, records, text, *frames])


def _checksum(data: bytes) -> int:
    """FNV-1a, of 64 bits: bundle.c computes it in a few lines, at each start."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


def _compressed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(data)
