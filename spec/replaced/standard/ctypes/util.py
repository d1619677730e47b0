"""Stands for ctypes.util in PyInstaller's file: pysodium asks it for libsodium, which is bundled.

The library would run programs of the machine (ldconfig, gcc), and find the machine's own libsodium.
"""

import sys
from pathlib import Path


def find_library(name: str) -> str | None:
    """The path of the library in the folder of this run; None if there is no such library."""
    folder = Path(sys._MEIPASS)  # type: ignore[attr-defined] # the bootloader sets it
    found = sorted(folder.glob(f"lib{name}.so.*"))
    return str(found[0]) if found else None
