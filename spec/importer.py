"""Imports from the bundle: modules as code, extensions and their libraries from files in memory."""

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader, _LoaderBasics
from _thread import RLock
from itertools import count

import _bundle

# Which libraries of the bundle each library and extension there needs.
_NEEDS = marshal.loads(_bundle.read("needs"))
_loaded = set()
_loading = RLock()
_numbers = count(1)


class _Path:
    """A member as a path that can be loaded from, while it is entered.

    The dynamic linker knows libraries by their paths: each needs one that was not there before,
    also where it has a descriptor of a file that is closed.
    """

    def __init__(self, member):
        self.member = member

    def __enter__(self):
        self.fd = _bundle.open(self.member)
        return f"/proc/self/fd/{'/' * next(_numbers)}{self.fd}"

    def __exit__(self, *failure):
        posix.close(self.fd)


def _load_needs(member):
    for library in _NEEDS.get(member, ()):
        load_library(library)


def find_library(stem):
    """Its name in the bundle, loaded; None where it has none."""
    name = next((library for library in _NEEDS if library.startswith(f"{stem}.so.")), None)
    if name:
        load_library(name)
    return name


def load_library(name):
    """Loads a library of the bundle, once; whoever opens it by its name finds it loaded."""
    with _loading:
        if name not in _loaded:
            _load_needs(name)
            with _Path(name) as path:
                _bundle.load(path)
            _loaded.add(name)


class _Module(_LoaderBasics):
    """Loads a module that is code."""

    def __init__(self, member):
        self.member = member

    def get_code(self, name):
        return marshal.loads(_bundle.read(self.member))

    def get_source(self, name):
        return None


class _Extension:
    """Loads an extension."""

    def __init__(self, member):
        self.member = member

    def create_module(self, spec):
        _load_needs(self.member)
        with _Path(self.member) as path:
            self.loader = ExtensionFileLoader(spec.name, path)
            spec.origin = path
            return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)


class Finder:
    """Finds modules in the bundle."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """See importlib.abc.MetaPathFinder."""
        stem = name.replace(".", "/")
        if _bundle.has(f"{stem}/__init__.py"):
            loader, is_package = _Module(f"{stem}/__init__.py"), True
        elif _bundle.has(f"{stem}.py"):
            loader, is_package = _Module(f"{stem}.py"), False
        elif _bundle.has(f"{stem}.so"):
            loader, is_package = _Extension(f"{stem}.so"), False
        else:
            return None
        return ModuleSpec(name, loader, origin=loader.member, is_package=is_package)


def run():
    """The program."""
    sys.meta_path.insert(2, Finder)
    del sys.meta_path[3:]
    sys.frozen = True
    try:
        from nym.__main__ import main
    except OSError as error:  # a folder that has no more room
        sys.exit(f"nym-client: can't start: {error}")
    main()
