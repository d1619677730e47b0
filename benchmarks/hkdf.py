"""A hop's keys by HKDF: libcrypto's deprecated SHA256_*, which we use, beside what it recommends.

The yardstick is the first; hkdf.c has all three, and what they make is compared.
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
    "macs": "EVP_MAC, begun again",
}
TIMES = 1000  # so that the call from Python doesn't count
SOURCE = Path(__file__).with_suffix(".c")


def run() -> list[Row]:
    """All three."""
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
        raise RuntimeError("libcrypto lacks what is compared")
    calls = {name: partial(getattr(functions, name), out, secret, TIMES) for name in WAYS}
    made = set()
    for call in calls.values():
        call()
        made.add(out.raw)
    if len(made) > 1:
        raise RuntimeError("they make different keys")
    times = {name: [time / TIMES for time in measured] for name, measured in measure(calls).items()}
    return [compare(what, times[name], times["states"]) for name, what in WAYS.items()]
