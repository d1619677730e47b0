"""Has what pulls brought written to disk, while the next pull may already go on.

A sealed provider keeps a message until the client names its number, and the client names only what
is on disk (nym/client/taken.py). So a pull there need not wait for the disk: how fast that is, and
whether there was something to write, doesn't show in the rhythm of the pulls.
"""

from collections.abc import Callable

from gevent.event import Event

from nym.client.receiver import Receiver
from nym.errors import StoreError


class Settling:
    """Settles the receiver, and checks with `check_room` that the disk has room for more.

    `problem` is the disk's error, while nothing more may be taken because of it.
    """

    def __init__(self, receiver: Receiver, check_room: Callable[[], None]) -> None:
        self.problem: str | None = None
        self._receiver = receiver
        self._check_room = check_room
        self._wanted = Event()

    def run(self) -> None:
        """Settle whenever that was asked for, for ever."""
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self.settle()
            except StoreError:
                continue  # said in `problem`; the next pull asks for another attempt

    def settle_soon(self) -> None:
        """Have `run` settle what has been taken until then."""
        self._wanted.set()

    def settle(self) -> None:
        """Wait until all that was taken is on disk, and there is room for more. Raises StoreError.

        The journal has logged the error.
        """
        try:
            self._receiver.settle()
            self._check_room()
        except StoreError as error:
            self.problem = str(error)
            raise
        self.problem = None
