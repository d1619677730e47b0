"""Finds what modules in the one file import, in functions too, and it lacks though it is installed.

Whether such an import is ever carried out can't be told from outside: spec/left_out.py has the
reason why each may be missing. One without a reason stops the build, and so does a reason that
isn't needed any more.
"""

import ast
import sys
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from left_out import LEFT_OUT

NAMESPACE = "-"


def check(sources):
    """Stops the build where the file lacks what it may need; `sources` are those of bundle.make."""
    found = {(importer, name) for importer, names in _missing(sources).items() for name in names}
    known = {(i, name) for name, (_, importers) in LEFT_OUT.items() for i in importers}
    unknown = [f"{importer} imports {name}" for importer, name in sorted(found - known)]
    needless = [f"{importer} doesn't import {name}" for importer, name in sorted(known - found)]
    if unknown or needless:
        lines = "\n".join([*unknown, *needless])
        raise SystemExit(f"what is left out of the file, spec/left_out.py, isn't right:\n{lines}")


def _missing(sources):
    """Importer -> modules that are installed and that it would not find in the file."""
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


def _module(name):
    stem = name.removesuffix(".py").removesuffix(".so").replace("/", ".")
    return stem.removesuffix(".__init__")


@cache
def _is_installed(name):
    """Looked up, not imported: to import everything would carry out a lot."""
    stem = name.replace(".", "/")
    endings = ["/__init__.py", ".py", *EXTENSION_SUFFIXES]
    return any(Path(folder, stem + ending).is_file() for folder in sys.path for ending in endings)


class _Imports(ast.NodeVisitor):
    """Names that may be modules, but for what a type checker or a run of the module imports."""

    def __init__(self, package):
        self.package = package
        self.found = set()

    def visit_Import(self, node):
        self.found.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node):
        base = node.module or ""
        if node.level:
            parents = self.package.split(".")
            base = ".".join([*parents[: len(parents) - node.level + 1], base]).rstrip(".")
        self.found.update([base, *(f"{base}.{alias.name}" for alias in node.names)])

    def visit_If(self, node):
        test = ast.unparse(node.test)
        if test not in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"):
            self.visit(ast.Module(node.body, []))
        self.visit(ast.Module(node.orelse, []))
