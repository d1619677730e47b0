"""In the place of ctypes.util: pysodium asks it for libsodium, which is in the bundle."""

import importer


def find_library(name):
    """The name under which dlopen knows it; None where the bundle has no such library."""
    return importer.find_library(f"lib{name}")
