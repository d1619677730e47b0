"""Which modules may import which (docs/architecture.md, "The rooms").

The imports are read from the syntax trees, so nothing is imported.
"""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "nym").rglob("*.py")
}

EXTENSIONS = {f"nym.{path.stem}" for path in (ROOT / "nym").glob("*.pyx")}

# The floors from the top to the bottom. A module imports from its own floor, or from one below.
FLOORS = [
    {"nym.__main__"},
    {"nym.cli"},
    {"nym.localnet", "nym.network"},
    {"nym.client", "nym.nodes"},
    {"nym.sockets"},
    {
        *("nym.service", "nym.routes", "nym.health", "nym.evidence", "nym.avoidance"),
        *("nym.loops", "nym.backlog", "nym.envelope", "nym.onlookers"),
    },
    {"nym.view", "nym.judge", "nym.reports", "nym.whereabouts", "nym.subscriptions"},
    {"nym.topology", "nym.identity", "nym.signing", "nym.sphinx", "nym.web"},
    {"nym.net"},
    {"nym.reach", "nym.wire", "nym.store", "nym.config", "nym.contacts"},
    {"nym.errors", "nym.timing", "nym.statistics", "nym.files", *EXTENSIONS, "nym"},
    {"nym.aio", "nym.application"},
]
# The library, which runs in other people's programs.
LIBRARY = sorted(m for m in MODULES if m.startswith(("nym.aio", "nym.application")))
NO_IO = [
    "nym.wire",
    "nym.topology",
    "nym.judge",
    "nym.view",
    "nym.reports",
    "nym.whereabouts",
    "nym.reach",
    "nym.routes",
    "nym.timing",
    "nym.statistics",
    "nym.sphinx",
    "nym.envelope",
    "nym.health",
    "nym.evidence",
    "nym.avoidance",
    "nym.loops",
    "nym.backlog",
    "nym.application.addresses",
    "nym.application.errors",
    "nym.application.files",
    "nym.application.lines",
    "nym.application.values",
]
IO = {"socket", "gevent", "select", "asyncio", "requests", "threading", "os", "time", "secrets"}


def floor(module: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if module in rooms or ".".join(module.split(".")[:2]) in rooms - {"nym"}:
            return number
    raise AssertionError(f"{module} has no floor in the architecture")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(module: str) -> set[str]:
    known = set(MODULES) | EXTENSIONS
    return (imports(MODULES[module]) & known) - {module}


def test_there_are_modules() -> None:
    assert len(MODULES) > 30


@pytest.mark.parametrize("module", sorted(MODULES))
def test_nothing_imports_upwards(module: str) -> None:
    for imported in own_imports(module):
        assert floor(imported) >= floor(module), (
            f"{module} imports {imported}, which is on a higher floor of the architecture"
        )


def test_clients_and_nodes_do_not_know_each_other() -> None:
    for one, other in (("nym.client.", "nym.nodes."), ("nym.nodes.", "nym.client.")):
        modules = [module for module in MODULES if module.startswith(one)]
        assert modules
        for module in modules:
            assert not [name for name in own_imports(module) if name.startswith(other)]


@pytest.mark.parametrize("module", LIBRARY)
def test_the_library_needs_nothing_but_python(module: str) -> None:
    for name in imports(MODULES[module]):
        assert name.startswith("nym.application") or name.split(".")[0] in sys.stdlib_module_names


def test_nothing_of_the_client_imports_the_library() -> None:
    importers = {module for module in MODULES if own_imports(module) & set(LIBRARY)}
    assert importers <= {"nym", *LIBRARY}


def test_imports_never_run_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"imports run in a circle: {' -> '.join([*path, module])}"
        if module not in done:
            for imported in own_imports(module) & set(MODULES):
                # Importing a module imports its package, too, and modules use their package's own
                # names. Neither is a circle in the design.
                if not module.startswith(imported + "."):
                    visit(imported, (*path, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize(
    "module", sorted(m for m in MODULES if any(m == n or m.startswith(n + ".") for n in NO_IO))
)
def test_formats_do_no_io(module: str) -> None:
    assert not {name.split(".")[0] for name in imports(MODULES[module])} & IO


# Before Python 3.14 these raise an error where nobody can say; since then they say False.
UNSURE = {"exists", "is_dir", "is_file", "is_fifo", "is_socket"}


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"nym.files"}))
def test_what_is_there_is_asked_of_one_module(module: str) -> None:
    asked = [
        node.func.attr
        for node in ast.walk(ast.parse(MODULES[module].read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args
    ]
    assert not UNSURE & set(asked), "nym.files has `exists` and `is_folder`"


def test_one_place_has_the_version() -> None:
    holders = [
        path.name
        for path in [*MODULES.values(), ROOT / "pyproject.toml", ROOT / "setup.py"]
        if "__version__ = " in path.read_text() or 'version = "0' in path.read_text()
    ]
    assert holders == ["__init__.py", "setup.py"]
