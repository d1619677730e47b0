"""The part of the C++ library that the one file has (spec/cplusplus.py) is enough for greenlet."""

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import greenlet
import pytest

from tests.test_replaced import SPEC, load

PROGRAM = """
import greenlet, threading

mapped = [line.split() for line in open("/proc/self/maps")]
print(*(line[-1] for line in mapped if line[1] == "r-xp" and "libstdc++" in line[-1]))
assert greenlet.greenlet(lambda: 1).switch() == 1

# What greenlet throws and catches in C++.
def refused(what, error):
    try:
        what()
    except error:
        return
    raise SystemExit(f"no {error}")

refused(greenlet.greenlet(lambda: 1 / 0).switch, ZeroDivisionError)
refused(greenlet.greenlet(1).switch, TypeError)
refused(lambda: greenlet.greenlet(parent=1), TypeError)
refused(lambda: greenlet.greenlet(print).throw(KeyError), KeyError)
waiting = greenlet.greenlet(lambda: greenlet.getcurrent().parent.switch(1))
assert waiting.switch() == 1
other = threading.Thread(target=refused, args=(waiting.switch, greenlet.error))
other.start()
other.join()
print("ok")
"""


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(SPEC))
    cplusplus = load(SPEC / "cplusplus.py", "cplusplus")
    folder = Path(str(greenlet.__file__)).parent
    extension = next(folder / f"_greenlet{suffix}" for suffix in EXTENSION_SUFFIXES)
    made: Path = tmp_path / cplusplus.LIBRARY
    cplusplus.link_part({"greenlet/_greenlet.so": extension}, made)
    return made


def test_greenlets_and_their_errors_work_with_it(part: Path) -> None:
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"LD_LIBRARY_PATH": str(part.parent)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert output.split() == [str(part), "ok"]


def test_it_is_small(part: Path) -> None:
    assert part.stat().st_size < 200_000


def test_two_are_the_same(part: Path) -> None:
    first = part.read_bytes()
    cplusplus = load(SPEC / "cplusplus.py", "cplusplus")
    folder = Path(str(greenlet.__file__)).parent
    again = part.with_name("again")
    cplusplus.link_part({"other": next(folder.glob("_greenlet*.so"))}, again)
    assert again.read_bytes() == first
