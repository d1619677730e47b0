"""What stands for libraries in the one file (spec/replaced) does the same as they do.

It is compared on what the program uses of them: each name that is used must be in both, and calls
must give the same. The names are found in the sources of all libraries that the program uses. So a
new version of a library that uses more makes a test fail.
"""

import ast
import calendar
import ctypes.util
import dataclasses
import datetime
import importlib.metadata
import inspect
import linecache
import marshal
import os
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import certifi
import charset_normalizer
import dateutil.parser
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

import nym
from tests.harness import printed

ROOT = Path(__file__).parent.parent
SPEC = ROOT / "spec"
SODIUM = ctypes.util.find_library("sodium") or ""  # libsodium.so.23 in Debian 12

# Names that are used where the program doesn't get: the reason for each.
UNREACHABLE = {
    ("dateutil.parser", "_parser"): "only other modules of dateutil, which the file lacks, use it",
    ("inspect", "formatargspec"): "zope.interface, for Pythons without inspect.signature",
    ("inspect", "getargspec"): "the same",
    ("importlib.metadata", "files"): "websockets asks for it in versions that weren't released",
}
# Modules that are only imported, because their package does so.
UNUSED = {"requests.packages"}
# Modules of the standard library that a client loads, and that use what is replaced.
STANDARD = ["dataclasses", "email._parseaddr", "encodings.idna", "http.cookiejar", "linecache"]


def name_of(path: Path) -> str:
    """The module for which a file stands."""
    parts = path.relative_to(SPEC / "replaced").with_suffix("").parts[1:]  # without the way
    return ".".join(part for part in parts if part != "__init__")


def has_original(path: Path) -> bool:
    """Whether it stands for a file: from Python 3.12 on, zipfile is a folder."""
    spec = find_spec(name_of(path))
    return spec is not None and Path(str(spec.origin)).name == path.name


REPLACED = sorted(filter(has_original, (SPEC / "replaced").rglob("*.py")))
# Those with nothing of their own: they load the whole library when it is asked for anything.
DEFERRED = {"mimetypes", "pprint", "stringprep", "tempfile", "zipfile"}


def load(path: Path, name: str = "replacement") -> ModuleType:
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


class Bundle(ModuleType):
    """Stands for _bundle, which program.c makes, and has what these tests ask it for."""

    def __init__(self) -> None:
        super().__init__("_bundle")
        self.loaded: list[str] = []
        self.opened: list[int] = []
        self.whole: list[str] = []

    def read(self, member: str) -> bytes:
        if member.startswith("whole/"):
            self.whole.append(member)
            path = Path(os.__file__).parent / member.removeprefix("whole/")
            return marshal.dumps(compile(path.read_bytes(), path.name, "exec"))
        return {
            "needs": marshal.dumps({SODIUM: [], "libsodiumlike.so.1": []}),
            "certifi/cacert.pem": Path(certifi.where()).read_bytes(),
        }[member]

    def open(self, member: str) -> int:
        assert member in (SODIUM, "certifi/cacert.pem")
        self.opened.append(os.open(certifi.where(), os.O_RDONLY))
        return self.opened[-1]

    def load(self, path: str) -> None:
        self.loaded.append(path)


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bundle]:
    bundle = Bundle()
    monkeypatch.setitem(sys.modules, "_bundle", bundle)
    monkeypatch.setitem(sys.modules, "importer", load(SPEC / "importer.py", "importer"))
    monkeypatch.setattr(sys, "_MEIPASS", "/nowhere", raising=False)
    yield bundle
    for descriptor in bundle.opened:
        try:
            os.close(descriptor)
        except OSError:
            continue  # importer.py closes what it has loaded


# Which names are used.


def sources() -> Iterator[Path]:
    """All modules of the program, and of the distributions that it needs, without their tests."""
    yield from Path(nym.__file__).parent.rglob("*.py")
    yield from (Path(str(importlib.import_module(name).__file__)) for name in STANDARD)
    names, seen = {"requests", *dependencies(ROOT / "pyproject.toml")}, set[str]()
    while names - seen:
        name = sorted(names - seen)[0]
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        names |= {
            re.split(r"[^\w.-]", needed)[0]
            for needed in distribution.requires or ()
            if ";" not in needed
        }
        for file in distribution.files or ():
            if file.suffix == ".py" and not {"tests", "testing"} & {*file.parts}:
                yield Path(str(distribution.locate_file(file)))


def dependencies(project: Path) -> list[str]:
    listed = project.read_text().partition("dependencies = [\n")[2].partition("]\n")[0]
    return re.findall(r'^ +"([\w-]+)', listed, re.MULTILINE)


def names_used(module: str) -> set[str]:
    """The names of a module that the program and its libraries use."""
    used = set()
    own = Path(str(importlib.import_module(module).__file__))
    for path in sources():
        text = path.read_text("utf-8", errors="replace")
        is_own = own.name == "__init__.py" and path.is_relative_to(own.parent)
        if is_own or module.split(".")[-1] not in text:
            continue
        if not path.is_relative_to(Path(charset_normalizer.__file__).parent):
            used |= names_in(ast.parse(text), module)
    return used


def names_in(tree: ast.Module, module: str) -> set[str]:
    """The names that a source imports from a module, or gets as its attributes."""
    parent, _, last = module.rpartition(".")
    used, aliases = set(), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            if node.module == module:
                used |= {alias.name for alias in node.names}
            elif parent and node.module == parent:
                aliases |= {a.asname or a.name for a in node.names if a.name == last}
        elif isinstance(node, ast.Import):
            aliases |= {a.asname or a.name for a in node.names if a.name == module}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in aliases:
            used.add(node.attr)
    return used


def test_each_kind_of_use_is_found() -> None:
    text = """
import a.b
import a.b as c
from a import b as d
from a.b import e
a.b.f, c.g(), d.h
"""
    assert names_in(ast.parse(text), "a.b") == {"e", "f", "g", "h"}


@pytest.mark.parametrize("path", REPLACED, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_every_name_that_is_used_is_in_both(path: Path, bundle: Bundle) -> None:
    module = name_of(path)
    used = names_used(module) - {name for of, name in UNREACHABLE if of == module}
    assert bool(used) is (module not in UNUSED)
    replacement, original = load(path), importlib.import_module(module)
    for name in used:
        assert hasattr(replacement, name)
        assert hasattr(original, name)


def test_names_that_are_not_reached_are_used() -> None:
    for module, name in UNREACHABLE:
        assert name in names_used(module)


# What they do.


def replacement(name: str, way: str) -> ModuleType:
    paths = [path for path in REPLACED if name_of(path) == name and way in path.parts]
    return load(paths[0])


def test_the_certificates_are_the_same(bundle: Bundle) -> None:
    ours = replacement("certifi", "launcher")
    assert Path(ours.where()).read_bytes() == Path(certifi.where()).read_bytes()
    assert ours.where() == ours.where()
    assert len(bundle.opened) == 1
    assert ours.contents() == certifi.contents()


def test_requests_accepts_the_version_of_what_guesses_encodings() -> None:
    for module in (charset_normalizer, replacement("charset_normalizer", "both")):
        requests.check_compatibility("2.0.0", None, module.__version__)


def test_hosts_that_are_not_ascii_still_find_idna() -> None:
    program = (
        "import sys, types\n"
        "sys.modules['requests.packages'] = types.ModuleType('requests.packages')\n"
        "import requests\n"
        "print('idna' in sys.modules)\n"
        "print(requests.Request('GET', 'http://m\u00fcnchen.invalid/').prepare().url)\n"
    )
    assert printed(program) == "False\nhttp://xn--mnchen-3ya.invalid/\n"


def test_libraries_are_found_by_the_same_name(bundle: Bundle) -> None:
    ours, original = replacement("ctypes.util", "launcher"), ctypes.util
    assert ours.find_library("sodium") == original.find_library("sodium") == SODIUM
    assert len(bundle.loaded) == 1
    assert ours.find_library("sodium") == SODIUM
    assert len(bundle.loaded) == 1
    assert ours.find_library("nowhere") is original.find_library("nowhere") is None


def test_the_standard_file_finds_the_library_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    for name in (SODIUM, "libsodiumlike.so.1"):
        (tmp_path / name).touch()
    ours, original = replacement("ctypes.util", "standard"), ctypes.util
    assert ours.find_library("sodium") == f"{tmp_path}/{original.find_library('sodium')}"
    assert ours.find_library("nowhere") is original.find_library("nowhere") is None


@pytest.mark.parametrize("name", ["nym-client", "websockets", "tqdm"])
def test_no_distribution_is_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])  # as in the one file
    ours = replacement("importlib.metadata", "both")
    for module in (ours, importlib.metadata):
        with pytest.raises(module.PackageNotFoundError) as caught:
            module.version(name)
        assert isinstance(caught.value, ImportError)
        assert str(caught.value) == f"No package metadata was found for {name}"
        assert caught.value.name == name


@pytest.mark.parametrize("name", ["pg8000", "scramp"])
def test_libraries_that_show_their_version_find_one(name: str) -> None:
    for module in (replacement("importlib.metadata", "both"), importlib.metadata):
        assert isinstance(module.version(name), str)


def test_a_text_that_is_no_time_is_refused() -> None:
    for module in (replacement("dateutil.parser", "both"), dateutil.parser):
        with pytest.raises(module.ParserError) as caught:
            module.parse("infinity")
        assert isinstance(caught.value, ValueError)


def test_no_plug_in_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    ours = replacement("importlib.metadata", "both")
    find: list[Callable[..., object]] = [ours.entry_points, importlib.metadata.entry_points]
    for entry_points in find:
        assert list(entry_points(group="gevent.plugins.monkey.will_patch_all")) == []  # type: ignore[call-overload]


SECONDS = st.tuples(
    st.integers(1, 9999), st.integers(1, 12), *[st.integers(-100, 100_000) for _ in range(4)]
)


def test_seconds_since_1970_are_the_same(bundle: Bundle) -> None:
    ours = replacement("calendar", "launcher")

    @given(SECONDS)
    def compare(time: tuple[int, ...]) -> None:
        assert ours.timegm(time) == ours.timegm((*time, 0, 0, 0)) == calendar.timegm(time)

    compare()
    assert not bundle.whole


def test_times_are_those_of_the_library() -> None:
    ours = replacement("datetime", "both")
    for name in datetime.__all__:
        assert getattr(ours, name) is getattr(datetime, name)


NAMES = ["http_proxy", "HTTP_PROXY", "Https_Proxy", "no_proxy", "NO_PROXY", "all_PROXY", "_proxy"]
HOSTS = st.text("ab.:1A²é", max_size=6)
NO_PROXY = st.one_of(st.just("*"), st.lists(st.one_of(HOSTS, st.just(" "))).map(",".join))


def test_the_proxies_of_the_environment_are_the_same(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = replacement("urllib.request", "launcher")

    @given(st.dictionaries(st.sampled_from([*NAMES, "REQUEST_METHOD"]), NO_PROXY), HOSTS)
    def compare(environment: dict[str, str], host: str) -> None:
        monkeypatch.setattr(os, "environ", environment)
        proxies = urllib.request.getproxies_environment()
        assert ours.getproxies() == ours.getproxies_environment() == proxies
        bypasses = urllib.request.proxy_bypass_environment(host)  # type: ignore[attr-defined]
        assert ours.proxy_bypass(host) is ours.proxy_bypass_environment(host) is bypasses
        assert ours.proxy_bypass(host, proxies) is bypasses

    compare()
    assert not bundle.whole
    text = 'Digest realm="a, b", nonce=c'
    assert ours.parse_http_list(text) == urllib.request.parse_http_list(text)
    assert bundle.whole == ["whole/urllib/request.py"]


def test_data_classes_are_made_without_the_library(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = replacement("inspect", "launcher")
    monkeypatch.setattr(dataclasses, "inspect", ours)
    made = dataclasses.make_dataclass("Made", [("a", int), ("b", int, 2)], frozen=True)
    assert repr(made(1)) == f"{made.__qualname__}(a=1, b=2)"
    assert not bundle.whole


def test_signatures_come_from_the_whole_library(bundle: Bundle) -> None:
    ours = replacement("inspect", "launcher")
    for function in (run_program_like, Bundle):
        assert str(ours.signature(function)) == str(inspect.signature(function))
    assert ours.cleandoc(" a\n   b\n   c") == inspect.cleandoc(" a\n   b\n   c")
    assert bundle.whole == ["whole/inspect.py"]


def run_program_like(first: int, *others: str, key: bytes = b"") -> None:
    """Has a signature."""


def test_no_line_of_a_file_on_the_machine_is_shown(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert linecache.getlines(__file__)
    linecache.clearcache()
    monkeypatch.setitem(sys.modules, "tokenize", replacement("tokenize", "launcher"))
    monkeypatch.setattr(linecache, "tokenize", sys.modules["tokenize"], raising=False)
    assert linecache.getlines(__file__) == []
    assert not bundle.whole
    linecache.clearcache()


@pytest.mark.parametrize("name", sorted(DEFERRED & {*map(name_of, REPLACED)}))
def test_all_of_a_library_is_there_once_it_is_asked_for(name: str, bundle: Bundle) -> None:
    ours, original = replacement(name, "launcher"), importlib.import_module(name)
    assert not hasattr(ours, "__path__")
    assert not bundle.whole
    for public in getattr(original, "__all__", [*vars(original)]):
        assert hasattr(ours, public) or public.startswith("__")
    assert not hasattr(ours, "nothing")
    assert bundle.whole == [f"whole/{name}.py"]


def test_the_event_loop_works_without_interfaces() -> None:
    program = (
        "import importlib.util, sys\n"
        f"path = {str(SPEC / 'replaced' / 'both' / 'zope' / 'interface' / '__init__.py')!r}\n"
        "spec = importlib.util.spec_from_file_location('zope.interface', path)\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "sys.modules['zope.interface'] = module\n"
        "from gevent import _interfaces, monkey\n"
        "monkey.patch_all()\n"
        "import time, gevent\n"
        "print(gevent.spawn(time.sleep, 0).get(), _interfaces.ILoop.__base__.__name__)\n"
    )
    assert printed(program) == "None Interface\n"
