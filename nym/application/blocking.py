"""The library for programs without asyncio: calls that block their thread."""

import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from math import inf
from pathlib import Path
from typing import TypeVar

from nym.application import core
from nym.application.backend import LONGEST_READ, SocketStream, finish
from nym.application.places import unix_address
from nym.application.values import Contact, Message, Progress, Status, WaitingMessage

Value = TypeVar("Value")


def connect(
    id: str | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    token: str | None = None,
    patience: float = core.PATIENCE,
) -> "Connection":
    """Connect to a running client.

    Either to this user's client with the `id`, by the control socket in its folder; or to the
    `port` of a `nym-client tcpsocket`, on this machine or on `host`; or to a socket in the file
    system, with "unix:PATH" as `host`. `token` is what such a socket asks for, if it does.

    If the client doesn't run, this waits for it for `patience` seconds, and so do all calls later.
    Raises NotRunningError, AccessError, ProtocolError, ValueError.
    """
    return Connection(finish(core.connect(_Backend(), id, host, port, token, patience)))


class Connection:
    """A connection to a running client. Several threads may use it at the same time.

    `address` is the client's own address. A connection ends with the block:
    `with nym.connect(id="alice") as client:`.

    If the client restarts, the connection is made again, and the logger `nym.application` says so.
    All methods raise NotRunningError if the client isn't back within the `patience` of `connect`,
    ClosedError after `close`, and RefusedError if the client refuses a request.
    """

    def __init__(self, connection: core.Connection) -> None:
        self._connection = connection
        self.address = connection.address

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, once requests that other threads have made are answered.

        Loops over messages in other threads end when they ask for the next one. A message that such
        a loop has in hand is acknowledged, as ever, or comes again. Whoever enters a block of
        `messages` or `failures` after that gets ClosedError.
        """
        finish(self._connection.close())

    def send(
        self,
        recipient: str,
        message: str | bytes,
        *,
        reliable: bool | None = None,
        plain: bool | None = None,
        anonymous_reply: bool | None = None,
    ) -> str:
        """Hand over a message, and return its id: it is on the client's disk then.

        `recipient` is an address, or the name of a contact. A text is sent as UTF-8; a message has
        up to 16 MiB. A `reliable` message is sent again until its recipient has acknowledged it,
        and tells the recipient who sent it. A `plain` one is for recipients that run the published
        client, and has up to 975 bytes. If neither is given, the contact and the client's settings
        decide.

        With `anonymous_reply`, the recipient can answer (see `reply`) without learning an address
        of this client: the message comes from one that serves this recipient alone, for some days.
        Raises NoReplyAddressError if none is free, NoAnswersError if the client never has one.

        Raises UnknownOutcomeError if the client went away before it answered: then it may have
        accepted the message, or not. BusyError: the outbox is full.
        """
        sending = self._connection.send(
            recipient, message, reliable=reliable, plain=plain, anonymous_reply=anonymous_reply
        )
        return finish(sending)

    def reply(
        self,
        question: Message | str,
        message: str | bytes,
        *,
        reliable: bool | None = None,
        anonymous_reply: bool | None = None,
    ) -> str:
        """Answer a message that has a `reply_to` or a `sender`, or a tag; return the answer's id.

        The answer names this client to the one who wrote, unless `anonymous_reply` is true, or the
        message came to an address that serves this conversation alone. Otherwise as `send`.

        Raises NoSuchTagError if the message can't be answered any more, or only with
        `anonymous_reply`, as its text says then; NoReplyAddressError, NoAnswersError, and
        ValueError if the message has neither.
        """
        replying = self._connection.reply(
            question, message, reliable=reliable, anonymous_reply=anonymous_reply
        )
        return finish(replying)

    def send_file(
        self,
        recipient: str,
        path: str | os.PathLike[str],
        *,
        reliable: bool | None = None,
        anonymous_reply: bool | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> str:
        """Hand over a file with its name, and return the id of the message: see `send`.

        `on_progress` is called with the number of bytes that the client has, and that of all of
        them. `wait` tells how far the message is on its way, which takes much longer. Raises
        OSError if the file can't be read. After NotRunningError, nothing of it is sent.
        """
        sending = self._connection.send_file(
            recipient,
            path,
            reliable=reliable,
            anonymous_reply=anonymous_reply,
            on_progress=on_progress,
        )
        return finish(sending)

    def reply_file(
        self,
        question: Message | str,
        path: str | os.PathLike[str],
        *,
        reliable: bool | None = None,
        anonymous_reply: bool | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> str:
        """Answer with a file: see `reply` and `send_file`."""
        replying = self._connection.reply_file(
            question,
            path,
            reliable=reliable,
            anonymous_reply=anonymous_reply,
            on_progress=on_progress,
        )
        return finish(replying)

    def messages(self, timeout: float | None = None) -> AbstractContextManager[Iterator[Message]]:
        """An iterator over messages as they come, inside a block.

        A message is acknowledged, and leaves the client, when the iterator is asked for the next
        one, or when the block is left without an exception. After an exception that leaves the
        block, it stays, and comes again. So it does if this program, or the client, dies in
        between: a message can come twice, with the same id.

        The block and the iterator wait as long as it takes, also for a client that is away. With a
        `timeout`, the iterator ends when no message has come for so many seconds; with 0, it gives
        what is there. Both raise NotRunningError if the client was away at the end of them. After
        that, the iterator can be asked again. Several blocks at the same time get different
        messages.
        """
        return _block(self._connection.messages(timeout))

    def failures(self, timeout: float | None = None) -> AbstractContextManager[Iterator[str]]:
        """An iterator over the ids of messages that are given up from now on, inside a block.

        It tells of all messages of this client, also of those that other programs sent. While the
        client was away, or the loop was half a minute behind, some may be missed: `progress` tells
        of each one. `timeout` is as for `messages`.
        """
        return _block(self._connection.failures(timeout))

    def wait(
        self,
        message_id: str,
        timeout: float | None = None,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> None:
        """Wait until a reliable message was acknowledged, or nothing is left to do for another one.

        The latter can be minutes after it arrived. Returns at once for an id that nobody knows.
        `on_progress` is called with each change of its progress. Raises DeliveryError if the
        message was given up, or taken back; TimeoutError after `timeout` seconds, when it still
        waits; NotRunningError if the client isn't back by then, or within the `patience`.
        """
        finish(self._connection.wait(message_id, timeout, on_progress))

    def progress(self, message_id: str) -> Progress:
        """How far a message has come. One that the client doesn't know (any more) is "done"."""
        return finish(self._connection.progress(message_id))

    def cancel(self, message_id: str) -> None:
        """Take back a message that waits. Packets of it that have left can still arrive.

        Raises NoSuchMessageError if it doesn't wait (any more), UnknownOutcomeError.
        """
        finish(self._connection.cancel(message_id))

    def cancel_all(self, recipient: str | None = None) -> list[str]:
        """Take back all messages that wait, or those to one recipient; return their ids.

        `recipient` is an address, the name of a contact, or the tag of answers. Raises
        UnknownOutcomeError.
        """
        return finish(self._connection.cancel_all(recipient))

    def outbox(self) -> list[WaitingMessage]:
        """The messages that wait to be sent or acknowledged, oldest first, and why they wait."""
        return finish(self._connection.outbox())

    def status(self) -> Status:
        """How the client runs."""
        return finish(self._connection.status())

    def clients(self) -> list[str]:
        """The addresses of the clients that the directory lists. Raises NoNetworkError."""
        return finish(self._connection.clients())

    def name_of(self, address: str) -> str | None:
        """The name of the contact with this address, as that of a sender; None if it has none."""
        return finish(self._connection.name_of(address))

    def contacts(self) -> list[Contact]:
        """The user's contacts, in the order of their names."""
        return finish(self._connection.contacts())


@contextmanager
def _block(
    manager: AbstractAsyncContextManager[AsyncIterator[Value]],
) -> Iterator[Iterator[Value]]:
    """The same as a block without `async`."""
    iterator = finish(manager.__aenter__())
    try:
        yield _Iterated(iterator)
    except BaseException as error:
        if not finish(manager.__aexit__(type(error), error, error.__traceback__)):
            raise
    else:
        finish(manager.__aexit__(None, None, None))


class _Iterated(Iterator[Value]):
    """The same as an iterator without `async`. No generator, which would never go on after an end.

    Its end only says that nothing has come in time.
    """

    def __init__(self, iterator: AsyncIterator[Value]) -> None:
        self._iterator = iterator

    def __next__(self) -> Value:
        try:
            return finish(anext(self._iterator))
        except StopAsyncIteration:
            raise StopIteration from None


class _Backend:
    """Connections that block their thread: see Backend."""

    async def connect(self, address: Path | tuple[str, int], seconds: float) -> "_Stream":
        """See Backend."""
        if isinstance(address, tuple):
            return _Stream(socket.create_connection(address, seconds))
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(seconds)
            with unix_address(address) as path:
                connection.connect(path)
        except BaseException:
            connection.close()
            raise
        return _Stream(connection)

    async def sleep(self, seconds: float) -> None:
        """See Backend."""
        time.sleep(seconds)

    def lock(self) -> "_Lock":
        """See Backend."""
        return _Lock()

    def check_caller(self) -> None:
        """See Backend. Each thread can."""


class _Stream(SocketStream):
    """A connection whose thread is blocked while it waits."""

    async def read(self, seconds: float) -> bytes:
        """See Stream."""
        self._socket.settimeout(None if seconds == inf else seconds)
        return self._socket.recv(LONGEST_READ)

    async def write(self, data: bytes, seconds: float) -> None:
        """See Stream."""
        self._socket.settimeout(seconds)
        self._socket.sendall(data)


class _Lock:
    """A lock of threads: see Lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def acquire(self, seconds: float) -> None:
        """See Lock."""
        if not self._lock.acquire(timeout=min(max(0.0, seconds), threading.TIMEOUT_MAX)):
            raise TimeoutError

    def release(self) -> None:
        """See Lock."""
        self._lock.release()
