"""How this program was built: from which commit, and whether it is the one file."""

import sys
from importlib import import_module


def commit() -> str:
    """The commit from which the program was built, or a sentence that says why it isn't known."""
    try:
        # Builds write this module. It is not in the repository.
        return str(import_module("nym._commit").COMMIT)
    except ModuleNotFoundError:
        return "not known: it runs from a checkout"


def is_one_file() -> bool:
    """Whether the program is the one file, which has its own Python in it."""
    return getattr(sys, "frozen", False)
