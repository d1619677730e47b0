"""What inboxes need of a database, so that they can be in more than one kind.

Statements keep to what SQLite (3.40) and PostgreSQL (13) have in common. Their parameters are
written `:name`. What differs is here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from nym.errors import StoreError


class Execute(Protocol):
    """Executes a statement, and returns all rows of its result."""

    def __call__(self, statement: str, /, **parameters: object) -> list[Any]:
        """See Execute. Rows can be unpacked. Only `Engine.transact` handles what this raises."""


Work = Callable[[Execute], None]


class Types(NamedTuple):
    """How a database calls its types of columns."""

    key: str  # a number that the database chooses, and never again for another row
    bytes: str


class Engine(Protocol):
    """One connection to a database, which one thread at a time uses."""

    name: str  # of the database, for people
    types: Types

    def lack(self) -> StoreError | None:
        """Return a NoRoomError if nothing new may be kept."""

    def transact(self, work: Work, *, has_to_be: bool = False) -> None:
        """Call `work` in one transaction, which is on disk when this returns.

        No other transaction on the same inboxes runs meanwhile, by any process.
        If it is tried again, `work` is called again. With `has_to_be`, room may be used that is
        held for such work. Raises NoRoomError where more room would help, OutcomeUnknownError where
        nobody can say whether it is on disk, and StoreError where it isn't; and what `work` raises,
        after which nothing is.
        """

    def last_number(self, execute: Execute) -> int:
        """Return the highest number that a message has ever had."""

    def skip_numbers(self, execute: Execute, last: int) -> None:
        """Give new messages numbers above this one, from now on."""

    def close(self) -> None:
        """End the connection."""


class SharedEngine(Engine, Protocol):
    """One connection to a database in which other processes change the same inboxes."""

    def watch(self, execute: Execute) -> None:
        """See to it that all processes hear what the others change, from now on."""

    def heard(self) -> set[bytes] | None:
        """Return the clients that were changed since the last transaction of this connection.

        None: nobody knows, so it may be all of them. For calls inside a transaction.
        """

    def time(self, execute: Execute) -> float:
        """Return the seconds since 1970, by the one clock that all processes have in common."""
