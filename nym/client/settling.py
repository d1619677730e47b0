"""Has what pulls brought written to disk, while the next pull may already go on.

A sealed provider keeps a message until the client names its number, and the client names only what
is on disk (nym/client/taken.py). So a pull there need not wait for the disk: how fast that is, and
whether there was something to write, doesn't show in the rhythm of the pulls.

A message is written at once, since an application waits for it, and its number with it. That there
was one must not show in when it is named. So all numbers are written once in each turn of the
client's addresses, those of cover among them, and none is named before that.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

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
        self._has_turned = False  # all addresses have been pulled since the numbers were written

    def run(self) -> None:
        """Settle whenever that was asked for, for ever."""
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                if self._has_turned:
                    self.settle()
                else:
                    self._settle(nullcontext())
            except StoreError:
                continue  # said in `problem`; the end of the next turn asks for another attempt

    def settle_soon(self, *, has_turned: bool) -> None:
        """Have `run` settle messages that came; all that was taken, if this pull ends a turn."""
        self._has_turned |= has_turned
        if self._has_turned or self._receiver.is_waiting:
            self._wanted.set()

    def settle(self) -> None:
        """Wait until all that was taken is on disk, and there is room for more. Raises StoreError.

        The journal has logged the error.
        """
        self._has_turned = False
        self._settle(self._receiver.taken.settling())

    def _settle(self, all_of_it: AbstractContextManager[None]) -> None:
        try:
            with all_of_it:
                self._receiver.settle()
            self._check_room()
        except StoreError as error:
            self.problem = str(error)
            raise
        self.problem = None
