"""Stands for ctypes.util in the one file: pysodium asks it for libsodium, which is bundled."""

import importer


def find_library(name: str) -> str | None:
    """The name by which dlopen finds the library; None if the bundle has no such library."""
    return importer.find_library(f"lib{name}")
