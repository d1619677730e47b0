"""pysodium asks ctypes for libsodium: the packed one comes first, also where none is installed."""

import ctypes.util
import sys
from pathlib import Path

_system = ctypes.util.find_library


def find_library(name):
    packed = sorted(Path(sys._MEIPASS).glob(f"lib{name}.so*"))
    return str(packed[0]) if packed else _system(name)


ctypes.util.find_library = find_library
