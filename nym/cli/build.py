"""How the program that runs was built."""

import sys
from importlib import import_module


def commit() -> str:
    """The commit of which it was."""
    try:
        return str(import_module("nym._commit").COMMIT)  # builds write it
    except ModuleNotFoundError:
        return "not known: it runs from a checkout"


def is_one_file() -> bool:
    """Whether it is the packed one, which is its own interpreter."""
    return getattr(sys, "frozen", False)
