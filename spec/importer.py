"""Imports from the bundle, inside the one file: it finds every module there and nowhere else.

Modules are compiled code. Extensions, and the libraries that they need, are unpacked into files in
memory when they are imported, because the dynamic linker loads only files.
"""

import marshal
import sys
from _thread import allocate_lock
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from itertools import count
from os import close

import _bundle

TYPE_CHECKING = False  # the name that type checkers know; typing would have to be loaded for it
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

# {library or extension: libraries of the bundle that it needs}, without those loaded at the start.
_NEEDS: dict[str, list[str]] = marshal.loads(_bundle.read("needs"))
_loaded: set[str] = set()
_loading = allocate_lock()  # so that two threads don't load one library twice
_numbers = count(1)


class _Path:
    """Inside `with`, a path from which the dynamic linker can load a member of the bundle.

    The linker takes two libraries with the same path for one. Descriptors get the same number again
    once a file was closed, so the path has another number of slashes each time.
    """

    def __init__(self, member: str) -> None:
        self.member = member

    def __enter__(self) -> str:
        self.fd = _bundle.open(self.member)
        return f"/proc/self/fd/{'/' * next(_numbers)}{self.fd}"

    def __exit__(self, *failure: object) -> None:
        close(self.fd)


def find_library(stem: str) -> str | None:
    """The full name of the library whose name begins with `stem`, loaded; None if there is none."""
    name = next((library for library in _NEEDS if library.startswith(f"{stem}.so.")), None)
    if name:
        load_library(name)
    return name


def load_library(name: str) -> None:
    """Load a library of the bundle, once. After that, dlopen finds it by its name."""
    with _loading:
        _load_library(name)


def _load_library(name: str) -> None:
    if name not in _loaded:
        for needed in _NEEDS[name]:
            _load_library(needed)
        with _Path(name) as path:
            _bundle.load(path)
        _loaded.add(name)


class _Module:
    """Loads a Python module from its compiled code."""

    def __init__(self, member: str) -> None:
        self.member = member

    def create_module(self, spec: ModuleSpec) -> None:
        """Nothing: Python makes an ordinary module."""

    def exec_module(self, module: "ModuleType") -> None:
        exec(marshal.loads(_bundle.read(self.member)), module.__dict__)
        if self.member == "re/_compiler.py":
            _use_compiled_patterns(module)

    def get_data(self, path: str) -> bytes:
        """What is packed under this name, such as a file of a page (PEP 302)."""
        return _bundle.read(path)


def _use_compiled_patterns(compiler: "Any") -> None:
    """Let the compiler of regular expressions take those that the build has compiled."""
    compile_new, make = compiler.compile, compiler._sre.compile
    patterns = marshal.loads(_bundle.read("patterns"))  # spec/patterns.py

    def compile(pattern: "Any", flags: int = 0) -> "Any":
        # Each is asked for once: Python's `re` keeps it, or the module that has asked.
        compiled = patterns.pop((pattern, int(flags)), None)
        return make(pattern, *compiled) if compiled else compile_new(pattern, flags)

    compiler.compile = compile


def rest_of(name: str) -> "Callable[[str], Any]":
    """The function `__getattr__` for a module in spec/replaced that stands for this one.

    What the stand-in lacks comes from the whole module, which is loaded when it is first asked for.
    """
    modules: list[ModuleType] = []

    def attribute(attribute: str) -> "Any":
        if attribute.startswith("__"):  # Python asks each module for some that it may lack
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        if not modules:
            module = type(sys)(name)
            _Module(f"whole/{name.replace('.', '/')}.py").exec_module(module)
            modules.append(module)
        return getattr(modules[0], attribute)

    return attribute


class _Extension:
    """Loads an extension module from a file in memory."""

    def __init__(self, member: str) -> None:
        self.member = member

    def create_module(self, spec: ModuleSpec) -> "ModuleType":
        for library in _NEEDS[self.member]:
            load_library(library)
        with _Path(self.member) as path:
            self.loader = ExtensionFileLoader(spec.name, path)
            spec.origin = path
            return self.loader.create_module(spec)

    def exec_module(self, module: "ModuleType") -> None:
        self.loader.exec_module(module)


class Finder:
    """Finds modules in the bundle."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        stem = name.replace(".", "/")
        loader: _Module | _Extension
        if _bundle.has(f"{stem}/__init__.py"):
            loader, is_package = _Module(f"{stem}/__init__.py"), True
        elif _bundle.has(f"{stem}.py"):
            loader, is_package = _Module(f"{stem}.py"), False
        elif _bundle.has(f"{stem}.so"):
            loader, is_package = _Extension(f"{stem}.so"), False
        else:
            return None
        # Its methods make it a loader. The class would have to be imported at each start.
        return ModuleSpec(name, loader, origin=loader.member, is_package=is_package)  # type: ignore[arg-type]


def run() -> None:
    """Run the program; called by program.c."""
    # Behind the finders of built-in and frozen modules. The one that searches folders is removed.
    sys.meta_path.insert(2, Finder)
    del sys.meta_path[3:]
    # The usual sign, for libraries, that a program is packed.
    sys.frozen = True  # type: ignore[attr-defined]
    try:
        from nym.__main__ import main
    except OSError as error:  # an extension found no room in memory or in the folder for files
        sys.exit(f"nym-client: can't start: {error}")
    main()
