"""Packs what PyInstaller's analysis found in PyInstaller's own way (docs/one-file.md).

PyInstaller's bootloader unpacks everything into a folder, and starts Python from there in a second
process. So the machine has to have a folder that can hold programs, and a C library. But nothing
about such a program is unusual to what watches over programs on that machine.
"""

import re
from pathlib import Path

import PyInstaller
from contents import HERE, Analysis, Entries, Files, library_file, module_file, pages, replaced
from PyInstaller import PLATFORM
from PyInstaller.building.api import EXE, PYZ

# The C library and the dynamic linker. They have to be the machine's own, because the kernel starts
# the bootloader with them, before anything is unpacked.
GLIBC = re.compile(r"(ld-linux.*|lib(c|dl|m|pthread|resolv|rt|util))\.so\.\d+")
LOADER = Path(PyInstaller.__file__).parent
BOOTSTRAP = ["pyiboot01_bootstrap", "pyimod01_archive", "pyimod02_importers", "pyimod03_ctypes"]
# The first has the modules that Python needs before it can read others.
DATA = ["base_library.zip", "certifi/cacert.pem"]
# For Python, as program.c sets them: UTF-8 whatever the locale is, and `-OO`.
OPTIONS: Entries = [("X utf8", "", "OPTION"), ("O", "", "OPTION"), ("O", "", "OPTION")]


def make(
    analysis: Analysis, files: Files, libraries: Files, commit: str, work: Path, target: Path
) -> Files:
    """Write the file for that commit; returns {name in the file: path it comes from}."""
    files = replaced(_without_glibc(files), "standard")
    start = HERE / "standard_start.py"
    commit_file = work / "_commit.py"
    commit_file.write_text(f'COMMIT = "{commit}"\n')
    modules = [(name, files[module_file(name, path)], kind) for name, path, kind in analysis.pure]
    modules.append(("nym._commit", commit_file, "PYMODULE-2"))
    EXE(
        PYZ([(name, str(path), kind) for name, path, kind in modules]),
        # PyInstaller's hooks, which come before the program, are left out: they prepare libraries
        # for uses that don't occur here, and would make each start slower.
        [("standard_start", str(start), "PYSOURCE-2"), analysis.scripts[-1]],
        _binaries(analysis, _without_glibc(libraries)),
        [
            *(entry for entry in analysis.datas if entry[0] in DATA),
            *((name, str(path), "DATA") for name, path in pages().items()),
        ],
        OPTIONS,
        name=target.name,
    )
    others = {f"{name}.py": LOADER / "loader" / f"{name}.py" for name in BOOTSTRAP}
    others |= {"bootloader": LOADER / "bootloader" / PLATFORM / "run", "standard_start.py": start}
    return dict(sorted((files | others).items()))


def _without_glibc(files: Files) -> Files:
    return {name: path for name, path in files.items() if not GLIBC.fullmatch(name)}


def _binaries(analysis: Analysis, libraries: Files) -> Entries:
    """Extensions and libraries, under the names by which PyInstaller's importer finds them."""
    known = {library_file(name, kind): (name, kind) for name, _, kind in analysis.binaries}
    entries = []
    for file, path in libraries.items():
        # PyInstaller doesn't list a library that is loaded by its name only, such as libgcc_s.
        name, kind = known.get(file, (file, "BINARY"))
        entries.append((name, str(path), kind))
    return entries
