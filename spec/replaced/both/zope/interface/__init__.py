"""Stands for zope.interface in the one file: gevent documents with it what its classes can do.

Nothing asks for that while the program runs, and the library would take 4 ms of each start.
"""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T", bound=type)


class Interface:
    """What a class can do."""


class Attribute:
    """An attribute that it has."""

    def __init__(self, description: str) -> None:
        pass


def implementer(*interfaces: type[Interface]) -> Callable[[T], T]:
    """For a class that can do this, which stays as it is."""
    return lambda implementing: implementing


def classImplements(implementing: type, *interfaces: type[Interface]) -> None:  # noqa: N802
    """See implementer."""
