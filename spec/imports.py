"""Checks that the one file has every module that a module in it may import.

It looks at all import statements, also inside functions, and finds the installed modules that the
file lacks. Whether such an import is ever carried out can't be seen from the code. So each of them
needs a reason in left_out.py why it may be missing. An import without a reason stops the build, and
so does a reason without such an import, unless the standard library is said to import the module:
its imports differ from one Python to the next.
"""

import ast
import sys
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from contents import NAMESPACE, Files
from left_out import LEFT_OUT


def check(sources: Files) -> None:
    """Stop the build if a file lacks what it may need; `sources` is what it is made from."""
    found = {(importer, name) for importer, names in _missing(sources).items() for name in names}
    # A library can have a module on one architecture and lack it on another, so a reason only
    # counts where its module is installed.
    known = {
        (importer, name)
        for name, (_, importers) in LEFT_OUT.items()
        for importer in importers
        if _is_installed(name)
    }
    unknown = [f"{importer} imports {name}" for importer, name in sorted(found - known)]
    needless = [
        f"{importer} doesn't import {name}"
        for importer, name in sorted(known - found)
        if importer.partition(".")[0] not in sys.stdlib_module_names
    ]
    if unknown or needless:
        lines = "\n".join([*unknown, *needless])
        raise SystemExit(
            "the file lacks modules that are imported without a reason in spec/left_out.py, or a "
            f"reason there is no longer needed:\n{lines}"
        )


def _missing(sources: Files) -> dict[str, set[str]]:
    """{importer: installed modules that it may import and that the file lacks}."""
    modules = {_module(name): path for name, path in sources.items()}
    there = {*modules, *sys.builtin_module_names}
    missing = {}
    for importer, path in modules.items():
        if str(path) == NAMESPACE or path.suffix != ".py":
            continue
        is_package = path.name == "__init__.py"
        imports = _Imports(importer if is_package else importer.rpartition(".")[0])
        imports.visit(ast.parse(path.read_bytes()))
        if names := {name for name in imports.found - there if _is_installed(name)}:
            missing[importer] = names
    return missing


def _module(name: str) -> str:
    stem = name.removesuffix(".py").removesuffix(".so").replace("/", ".")
    return stem.removesuffix(".__init__")


@cache
def _is_installed(name: str) -> bool:
    """Whether this Python has a module. It isn't imported, which would run the module's code."""
    stem = name.replace(".", "/")
    endings = ["/__init__.py", ".py", *EXTENSION_SUFFIXES]
    return any(Path(folder, stem + ending).is_file() for folder in sys.path for ending in endings)


class _Imports(ast.NodeVisitor):
    """Collects names that may be modules from a module's import statements.

    Imports that are only for a type checker, or for a module that is run as a program, don't count.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self.found: set[str] = set()

    def visit_Import(self, node: ast.Import) -> None:
        self.found.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parents = self.package.split(".")
            base = ".".join([*parents[: len(parents) - node.level + 1], base]).rstrip(".")
        # `from a import b` may mean the module a.b. If it doesn't, no such module is installed.
        self.found.update([base, *(f"{base}.{alias.name}" for alias in node.names)])

    def visit_If(self, node: ast.If) -> None:
        test = ast.unparse(node.test)
        if test not in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"):
            self.visit(ast.Module(node.body, []))
        self.visit(ast.Module(node.orelse, []))
