"""Regular expressions that the build compiles (spec/patterns.py) are those of Python itself."""

import marshal
import os
import re
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.test_replaced import SPEC, load

compiler: Any = re._compiler  # type: ignore[attr-defined] # known to no type checker

TEXTS = ["", "a", "Ab", "12:34", "[::1]:80", "HTTP://user@host:1/path?query#fragment", "x" * 300]


@pytest.fixture(scope="module")
def packed() -> bytes:
    """What the build would pack for a client's start."""
    command = [
        sys.executable,
        "-OO",
        str(SPEC / "patterns.py"),
        "nym.__main__",
        "nym.client.client",
    ]
    environment = {**os.environ, "PYTHONPATH": str(SPEC.parent)}
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout


Compile = Callable[..., re.Pattern[Any]]


def use(packed: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[Compile, list[object]]:
    """The compiler as the one file changes it, and what it has compiled anew."""
    anew: list[object] = []

    def compile_anew(pattern: Any, flags: int = 0) -> Any:
        anew.append(pattern)
        return compiler.compile(pattern, flags)

    bundle: Any = ModuleType("_bundle")
    bundle.read = {"needs": marshal.dumps({}), "patterns": packed}.__getitem__
    monkeypatch.setitem(sys.modules, "_bundle", bundle)
    changed = SimpleNamespace(compile=compile_anew, _sre=compiler._sre)
    load(SPEC / "importer.py", "importer")._use_compiled_patterns(changed)
    return changed.compile, anew


def test_they_are_the_same(packed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_one, anew = use(packed, monkeypatch)
    patterns = marshal.loads(packed)  # noqa: S302 - made above
    assert len(patterns) > 50
    assert sum("0-9A-Fa-f" in str(pattern) for pattern, _ in patterns) > 3  # urllib3's, the longest
    for pattern, flags in patterns:
        ours, theirs = compile_one(pattern, flags), compiler.compile(pattern, flags)
        assert ours == theirs  # which compares their code
        assert ours.groupindex == theirs.groupindex
        for text in TEXTS:
            about = text if isinstance(pattern, str) else text.encode()
            assert [m.groupdict() for m in ours.finditer(about)] == [
                m.groupdict() for m in theirs.finditer(about)
            ]
    assert not anew


def test_others_are_compiled_when_they_are_needed(
    packed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_one, anew = use(packed, monkeypatch)
    assert compile_one("no module has (this)").fullmatch("no module has this")
    assert anew == ["no module has (this)"]
    pattern, flags = next(iter(marshal.loads(packed)))  # noqa: S302 - made above
    assert compile_one(pattern, flags) == compile_one(pattern, flags)  # the second one anew
    assert anew[1:] == [pattern]
