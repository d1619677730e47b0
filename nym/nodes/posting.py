"""How a node posts to its directories: signed if it has an identity, and to each one by itself.

A directory that is away or slow holds up no post to another one.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from nym.errors import RemoteError, StatusError
from nym.net.directory import announces_digests, post, post_list, takes_digests
from nym.net.watch import Outage
from nym.signing import Signer, Stamps
from nym.wire.clients import Digest
from nym.wire.directory import LEAVING_PATH
from nym.wire.signed import HEADER, RUN_HEADER, Claim, Purpose, is_run
from nym.wire.text import visible_url

log = logging.getLogger(__name__)


class Desk:
    """Posts to one directory. Nothing overtakes anything: there is one post at a time."""

    def __init__(self, directory: str, signer: Signer | None, stamps: Stamps) -> None:
        self.directory = directory
        self._signer = signer
        self._stamps = stamps
        self._run = ""  # of the directory, as it said last
        self._takes_digests: bool | None = None  # as it said last; None: ask it
        self._lock = BoundedSemaphore()
        self._has_left = False

    def takes_digests(self) -> bool:
        """Whether the directory takes lists of clients by their digests. Raises RemoteError."""
        if self._takes_digests is None:
            self._takes_digests = takes_digests(self.directory)
        return self._takes_digests

    def post(self, purpose: Purpose, path: str, make: Callable[[], bytes]) -> Mapping[str, str]:
        """Post what `make` returns when it is its turn, or nothing after `leave`.

        Returns the headers of the answer. Raises RemoteError.
        """
        with self._lock:
            return {} if self._has_left else self._post_for_its_run(purpose, path, make())

    def post_list(self, digest: Digest, changes: bytes) -> None:
        """Send a list of clients that the directory has asked for. Raises RemoteError."""
        with self._lock:
            if not self._has_left:
                post_list(self.directory, digest, changes)

    def leave(self) -> None:
        """Say that the node has stopped. Raises RemoteError.

        A node that doesn't sign says nothing: it isn't listed any more after its time.
        """
        self._has_left = True  # first, so that no post that waits for its turn lists it again
        if self._signer is not None:
            with self._lock:
                self._post_for_its_run("leaving", LEAVING_PATH, b"{}")

    def _post_for_its_run(self, purpose: Purpose, path: str, body: bytes) -> Mapping[str, str]:
        try:
            return self._post(purpose, path, body)
        except StatusError as error:
            run = error.headers.get(RUN_HEADER, "")
            if self._signer is None or not is_run(run) or run == self._run:
                raise
            # The directory has started since the last post, or this is the first one.
            self._run = run
            return self._post(purpose, path, body)

    def _post(self, purpose: Purpose, path: str, body: bytes) -> Mapping[str, str]:
        headers = {}
        if self._signer is not None:
            claim = Claim(self._signer.public_key, self._stamps.next(), self._run)
            headers[HEADER] = claim.signed(self._signer.sign, purpose, path, body)
        # Another program may be at this URL after an outage, or a proxy may answer for it.
        self._takes_digests = None
        answered = post(self.directory, path, body, headers)
        self._takes_digests = announces_digests(answered)
        return answered


class Channel:
    """One kind of post to one directory: always the newest, and none while one is on its way."""

    def __init__(self, desk: Desk, purpose: Purpose) -> None:
        self._desk = desk
        self._due = Event()
        self._post: Callable[[Desk], object] | None = None
        self.directory = desk.directory
        self.outage = Outage(log, f"{purpose} at {visible_url(desk.directory)}")
        self.lenient_until = 0.0  # monotonic; until then, refusals are nothing to complain about

    def offer(self, post: Callable[[Desk], object]) -> None:
        """Call `post` with the desk as soon as possible, in the place of what still waits."""
        self._post = post
        self._due.set()

    def run(self) -> None:
        """Post what is offered, for ever."""
        while True:
            self._due.wait()
            self._due.clear()
            if self._post is not None:
                self.try_post(self._post)

    def try_post(self, post: Callable[[Desk], object]) -> None:
        """Post now. Failures are logged when they begin and end."""
        try:
            post(self._desk)
        except StatusError as error:
            if time.monotonic() >= self.lenient_until:
                self.outage.begins(error)
            else:
                log.debug("a directory doesn't take the node's new key yet: %s", error)
        except RemoteError as error:
            self.outage.begins(error)
        else:
            self.outage.ends()


def side_by_side(
    posts: Sequence[Callable[[], None]], patience: float | None = None
) -> list[RemoteError | None]:
    """Do all of them at the same time; what each raised, or None if it worked.

    After `patience` seconds, those that are left are ended, and count as if they had worked.
    """

    def outcome(do: Callable[[], None]) -> RemoteError | None:
        try:
            do()
        except RemoteError as error:
            return error
        return None

    greenlets = [gevent.spawn(outcome, do) for do in posts]
    try:
        gevent.joinall(greenlets, timeout=patience, raise_error=True)
    finally:
        gevent.killall(greenlets)
    values = (greenlet.value for greenlet in greenlets)
    # The value of one that was ended is its GreenletExit.
    return [value if isinstance(value, RemoteError) else None for value in values]
