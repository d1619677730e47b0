"""The keys of one hop by HKDF, made in three ways.

The yardstick is libcrypto's SHA256_*, which nym uses although libcrypto deprecates it. The others
use functions that libcrypto recommends. hkdf.c has all three, and their results must be equal.
"""

import ctypes
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Row, compare, measure

WAYS = {
    "states": "SHA256_*, copied",
    "contexts": "EVP_MD_CTX_copy_ex",
    "macs": "EVP_MAC, started again",
}
TIMES = 1000  # per call, so that the time of the call from Python doesn't count
SOURCE = Path(__file__).with_suffix(".c")


def run() -> list[Row]:
    """Measure all three ways."""
    secret = os.urandom(32)
    out = ctypes.create_string_buffer(256)
    with TemporaryDirectory() as folder:
        library = Path(folder) / "hkdf.so"
        subprocess.run(
            [
                shutil.which("cc") or "cc",
                "-O2",
                "-shared",
                "-fPIC",
                "-o",
                library,
                SOURCE,
                "-lcrypto",
            ],
            check=True,
        )
        functions = ctypes.CDLL(str(library))
    if not functions.prepare():
        raise RuntimeError("libcrypto lacks one of the functions to compare")
    calls = {name: partial(getattr(functions, name), out, secret, TIMES) for name in WAYS}
    made = set()
    for call in calls.values():
        call()
        made.add(out.raw)
    if len(made) > 1:
        raise RuntimeError("the three ways make different keys")
    times = {name: [time / TIMES for time in measured] for name, measured in measure(calls).items()}
    return [compare(what, times[name], times["states"]) for name, what in WAYS.items()]
