"""Stands for certifi in the one file: the certificates of authorities come from the bundle."""

from functools import cache

import _bundle


@cache
def where() -> str:
    """A path to the certificates; the file behind it stays open as long as the process runs."""
    return f"/proc/self/fd/{_bundle.open('certifi/cacert.pem')}"


def contents() -> str:
    """The text of the certificates."""
    return _bundle.read("certifi/cacert.pem").decode()
