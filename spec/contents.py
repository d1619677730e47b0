"""Lists what belongs in the one file, as PyInstaller's analysis found it."""

import re
import subprocess
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Protocol

Entries = list[tuple[str, str, str]]  # PyInstaller's lists: name, path, kind
Files = dict[str, Path]  # {name in the file: path it comes from}

HERE = Path(__file__).parent
PROJECT = HERE.parent
NAMESPACE = "-"  # PyInstaller's path of a package without __init__.py


class Graph(Protocol):
    """The modules that an analysis found."""

    def make_pure_toc(self) -> Entries:
        """All modules in Python."""


class Analysis(Protocol):
    """What this project uses of PyInstaller's analysis."""

    graph: Graph
    scripts: Entries
    pure: Entries
    binaries: Entries
    datas: Entries


def find(analysis: Analysis) -> Files:
    """All modules, libraries and data, without what replaces some of them."""
    sources = {}
    # Not analysis.pure, which lacks the modules that PyInstaller's own bootloader has.
    for name, path, _ in analysis.graph.make_pure_toc():
        sources[module_file(name, path)] = Path(path)
    for name, path, kind in analysis.binaries:
        sources[library_file(name, kind)] = Path(path)
    for library in [path for name, path in sources.items() if ".so" in name]:
        for name, needed in _linked(library):
            sources.setdefault(name, needed)
    sources |= pages()
    sources["certifi/cacert.pem"] = next(
        Path(path) for name, path, _ in analysis.datas if name == "certifi/cacert.pem"
    )
    return dict(sorted(sources.items()))


def pages() -> Files:
    """The files of the program's pages."""
    web = PROJECT / "nym/web"
    kinds = (".html", ".css", ".js", ".svg")
    return {str(path.relative_to(PROJECT)): path for path in web.rglob("*") if path.suffix in kinds}


def module_file(name: str, path: str) -> str:
    """The name in the file of a module that comes from that path."""
    is_package = Path(path).name in ("__init__.py", NAMESPACE)
    return name.replace(".", "/") + ("/__init__.py" if is_package else ".py")


def library_file(name: str, kind: str) -> str:
    """The name in the file of a library, or of an extension, that PyInstaller calls so."""
    name = re.sub(r"^python3\.\d+/lib-dynload/", "", name)
    for suffix in EXTENSION_SUFFIXES:
        if kind == "EXTENSION" and name.endswith(suffix):
            return name.removesuffix(suffix) + ".so"
    return name


def replaced(files: Files, way: str) -> Files:
    """The same files, with those of spec/replaced that are for both ways, or for that one."""
    files = dict(files)
    for folder in (HERE / "replaced" / "both", HERE / "replaced" / way):
        for path in folder.rglob("*.py"):
            name = str(path.relative_to(folder))
            if name in files:
                files[name] = path
    return files


def stripped(files: Files, work: Path) -> Files:
    """Copies of all libraries, in the folder `work`, without symbols that no program reads."""
    copies = {}
    for name, path in files.items():
        if ".so" in name:
            copies[name] = work / name
            copies[name].parent.mkdir(parents=True, exist_ok=True)
            output("strip", "--strip-unneeded", "-o", copies[name], path)
    return copies


def output(*command: str | Path) -> str:
    """What a command prints; it has to end with 0."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _linked(library: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name, path) of all libraries that it needs, with the C library and the linker."""
    for line in output("ldd", library).splitlines():
        if match := re.match(r"\s+(?:(\S+) => )?(/\S+) \(", line):
            name, path = match.groups()
            yield name or Path(path).name, Path(path).resolve()
