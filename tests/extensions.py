"""Builds extensions that only tests use, from the .pyx files in tests/."""

import fcntl
import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
BUILT = ROOT / "build" / "tests"


def extension(source: Path) -> ModuleType:
    """The module, built if its source or the program's extensions are newer than it.

    It is compiled as setup.py compiles those, and may cimport from them.
    """
    BUILT.mkdir(parents=True, exist_ok=True)
    made = BUILT / f"{source.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
    with (BUILT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests in other processes want the same
        needed = [source, *(ROOT / "nym").glob("_*.p[yx]*")]
        if not made.exists() or made.stat().st_mtime < max(p.stat().st_mtime for p in needed):
            _build(source, made)
    spec = importlib.util.spec_from_file_location(source.stem, made)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _build(source: Path, made: Path) -> None:
    code = made.with_suffix(".c")
    subprocess.run(
        [sys.executable, "-m", "cython", "-3", f"-I{ROOT}", "-o", code, source], check=True
    )
    half = made.with_suffix(".new")
    subprocess.run(
        [
            *os.environ.get("CC", "cc").split(),
            *["-O2", "-fstack-protector-strong", "-shared", "-fPIC"],
            "-DOPENSSL_SUPPRESS_DEPRECATED=1",
            f"-I{sysconfig.get_path('include')}",
            "-o",
            half,
            code,
            *["-lsodium", "-lcrypto"],
        ],
        check=True,
    )
    half.replace(made)
