"""Modules that the build makes smaller (spec/compiling.py) are the same modules."""

import dataclasses
import importlib.util
import marshal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nym
from tests.test_replaced import SPEC, load

STANDARD = ["ast", "dataclasses", "enum", "http.client", "inspect", "logging", "ssl", "typing"]
LIBRARIES = [
    "docopt",
    "gevent.hub",
    "requests.models",
    "urllib3.connectionpool",
    "urllib3.response",
]

# Values that code has as constants.
CONSTANTS = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.just(...),
        st.integers(),
        st.floats(allow_nan=False),
        st.complex_numbers(allow_nan=False),
        st.text(),
        st.text(st.characters(max_codepoint=126)),
        st.binary(),
    ),
    lambda values: st.one_of(
        st.lists(values).map(tuple),
        st.frozensets(values),
        st.lists(values, min_size=256).map(tuple),
    ),
    max_leaves=30,
)


@pytest.fixture(scope="module", autouse=True)
def modules_of_the_build() -> Iterator[None]:
    """They import each other without a package."""
    sys.path.insert(0, str(SPEC))
    yield
    sys.path.remove(str(SPEC))


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONNODEBUGRANGES", "1")
    return load(SPEC / "compiling.py", "compiling")


def sources() -> list[Path]:
    """Modules of all kinds."""
    found = [importlib.util.find_spec(name) for name in [*STANDARD, *LIBRARIES]]
    origins = [Path(spec.origin) for spec in found if spec and spec.origin]
    return [*origins, *sorted(Path(nym.__file__).parent.rglob("*.py"))]


def plain(path: Path) -> CodeType:
    code = compile(path.read_bytes(), path.name, "exec", dont_inherit=True, optimize=2)
    assert isinstance(code, CodeType)
    return code


def lines(code: CodeType) -> list[int | None]:
    """The line of each unit of the code."""
    return [line for start, end, line in code.co_lines() for _ in range(start, end, 2)]


def nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


def assert_same(ours: CodeType, original: CodeType) -> None:
    """The two are equal, whatever form the table of lines has."""
    for one, other in zip(nested(ours), nested(original), strict=True):
        assert lines(one) == lines(other)
        same = (
            one.replace(co_linetable=b"", co_consts=()),
            other.replace(co_linetable=b"", co_consts=()),
        )
        assert same[0] == same[1]
        assert one.co_qualname == other.co_qualname
        constants = zip(one.co_consts, other.co_consts, strict=True)
        for a, b in constants:
            if not isinstance(a, CodeType):
                assert marshal.dumps(a, 0) == marshal.dumps(b, 0) or a == b


def test_only_the_form_changes_of_modules_without_annotations(compiling: Any) -> None:
    smaller = 0
    for path in sources():
        original = plain(path)
        tabled = compiling._with_short_tables(original)
        shared = marshal.loads(compiling.shared(marshal.dumps(tabled)))
        assert_same(shared, original)
        smaller += sum(len(b.co_linetable) for b in nested(original))
        smaller -= sum(len(a.co_linetable) for a in nested(shared))
    assert smaller > 0


def has_annotations(code: CodeType) -> bool:
    """Whether it makes functions, or has annotations of its own."""
    return any(isinstance(constant, CodeType) for constant in code.co_consts) or (
        "__annotations__" in code.co_names
    )


def test_what_has_no_annotations_stays_as_it_is(compiling: Any) -> None:
    functions = 0
    for path in sources():
        ours = marshal.loads(compiling.compiled(path.name, path.read_bytes()))
        before = [code for code in nested(plain(path)) if not has_annotations(code)]
        after = [code for code in nested(ours) if not has_annotations(code)]
        # From Python 3.14 on, annotations are functions.
        before = [code for code in before if code.co_name != "__annotate__"]
        after = [code for code in after if code.co_name != "__annotate__"]
        for one, other in zip(after, before, strict=True):
            assert_same(one, other)
            functions += 1
    assert functions > 1000


SOURCE = '''
from dataclasses import dataclass
from typing import NamedTuple

limit: int = 3
unset: int

@dataclass
class Point:
    """A docstring."""
    x: int
    y: "int" = limit

    def moved(self, *by: int, **named: int) -> "Point":
        step: int = by[0]
        self.z: int = step
        return Point(self.x + step, self.y)

class Pair(NamedTuple):
    left: bytes
    right: bytes = b""

def outer(a: int, /, b: int = 2, *, c: int = 4) -> int:
    inner: int
    def set_inner(to: int) -> None:
        nonlocal inner
        inner = to
    set_inner(a + b + c)
    return inner

async def later(a: int) -> int:
    return 1 // (a -
                 a)
'''


def run(code: bytes) -> dict[str, Any]:
    module: dict[str, Any] = {"__name__": "tests.test_compiling"}
    exec(marshal.loads(code), module)
    return module


def test_functions_and_modules_have_no_annotations_and_fields_stay(compiling: Any) -> None:
    module = run(compiling.compiled("a.py", SOURCE.encode()))
    assert "__annotations__" not in module
    assert "unset" not in module
    for function in (module["outer"], module["later"], module["Point"].moved):
        assert function.__annotations__ == {}
    assert [field.name for field in dataclasses.fields(module["Point"])] == ["x", "y"]
    assert module["Point"](1).moved(2) == module["Point"](3, 3)
    assert module["Pair"]._fields == ("left", "right")
    assert module["Pair"](b"a").right == b""
    assert module["outer"](1) == 7


def test_a_traceback_names_the_same_line(compiling: Any) -> None:
    module = run(compiling.compiled("a.py", SOURCE.encode()))
    with pytest.raises(ZeroDivisionError) as caught:
        module["later"](1).send(None)
    last = caught.traceback[-1]
    assert str(last.path).endswith("a.py")
    assert last.lineno + 1 == SOURCE[: SOURCE.index("return 1 //")].count("\n") + 1


def test_what_reads_annotations_finds_them(compiling: Any) -> None:
    source = b"""
from functools import singledispatch

@singledispatch
def kind(value):
    return "other"

@kind.register
def _(value: int):
    return "number"
"""
    kind = run(compiling.compiled("a.py", source))["kind"]
    assert (kind(1), kind("")) == ("number", "other")


@given(CONSTANTS)
def test_constants_keep_their_values(constant: Any) -> None:
    sharing = load(SPEC / "sharing.py", "sharing")
    again = marshal.loads(sharing.shared(marshal.dumps(constant)))
    assert type(again) is type(constant)
    assert again == constant
    assert str(again) == str(constant) or isinstance(constant, tuple | frozenset)


@given(CONSTANTS)
def test_equal_constants_become_one(constant: Any) -> None:
    sharing = load(SPEC / "sharing.py", "sharing")
    two = [marshal.loads(marshal.dumps(constant)) for _ in range(2)]
    first, second = marshal.loads(sharing.shared(marshal.dumps(((two[0], 1), (two[1], 2)))))
    assert first[0] is second[0] or isinstance(constant, frozenset)


def test_numbers_that_are_equal_but_not_the_same_stay_apart() -> None:
    sharing = load(SPEC / "sharing.py", "sharing")
    values = (1, True, 1.0, 0.0, -0.0, "a", b"a", (1,), (True,), (1.0,))
    assert repr(marshal.loads(sharing.shared(marshal.dumps(values)))) == repr(values)


def test_a_kind_of_object_that_is_not_known_stops_the_build() -> None:
    sharing = load(SPEC / "sharing.py", "sharing")
    with pytest.raises(ValueError, match="kind of object"):
        sharing.shared(b"?1234")


def test_the_build_compiles_without_columns(
    compiling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONNODEBUGRANGES")
    with pytest.raises(SystemExit):
        compiling.compiled("a.py", b"")
