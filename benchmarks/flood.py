"""flood.c, compiled: a program that opens connections to a node as fast as it is told."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_SOURCE = Path(__file__).with_suffix(".c")


@contextmanager
def compiled() -> Iterator[Path]:
    """The program, until the end of the block; flood.c has its arguments."""
    with TemporaryDirectory() as folder:
        program = Path(folder) / "flood"
        compiler = shutil.which("cc") or "cc"
        subprocess.run([compiler, "-O2", "-Wall", "-o", program, _SOURCE], check=True)
        yield program
