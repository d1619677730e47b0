"""What a program can ask of its client, written once for both backends.

Programs with asyncio use this class as it is (nym.aio).
"""

import os
import shlex
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from math import inf
from pathlib import Path
from typing import cast

from nym.application import arguments, files, requests, values
from nym.application.addresses import is_address, is_tag
from nym.application.backend import Backend
from nym.application.errors import ContactsError, DeliveryError, TooLongError
from nym.application.line import DETAILS, Endpoint
from nym.application.lines import Answer, Request
from nym.application.news import Failures, Messages, after
from nym.application.places import place
from nym.application.values import Contact, Message, Progress, Status, WaitingMessage

PATIENCE = 10.0  # seconds; a client that restarts is back after one or two
LOOK = 0.2  # seconds between two looks at the progress of a message
PART = 1 << 19  # bytes of a file that are handed over at once


class Connection:
    """nym.Connection for asyncio: what waits there is awaited here, and iterators are asynchronous.

    Several tasks may use it at the same time. A task that is cancelled does no harm to the others.
    """

    address: str

    def __init__(self, backend: Backend, endpoint: Endpoint) -> None:
        self._backend = backend
        self._endpoint = endpoint
        self._open = ExitStack()
        self._questions = self._open.enter_context(endpoint.line(DETAILS))
        self._turn = backend.lock()

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """See nym.Connection."""
        self._endpoint.close()
        async with self._in_turn():
            self._open.close()

    async def send(
        self,
        recipient: str,
        message: str | bytes,
        *,
        reliable: bool | None = None,
        plain: bool | None = None,
        anonymous_reply: bool | None = None,
    ) -> str:
        """See nym.Connection."""
        return await self._commit(
            type="send",
            data=requests.encoded(message),
            recipient_address=await self._address_of(recipient),
            **requests.given(reliable=reliable, plain=plain, anonymous_reply=anonymous_reply),
        )

    async def reply(
        self,
        question: Message | str,
        message: str | bytes,
        *,
        reliable: bool | None = None,
        anonymous_reply: bool | None = None,
    ) -> str:
        """See nym.Connection."""
        return await self._commit(
            data=requests.encoded(message),
            **requests.way_back(question, anonymous_reply),
            **requests.given(reliable=reliable),
        )

    async def send_file(
        self,
        recipient: str,
        path: str | os.PathLike[str],
        *,
        reliable: bool | None = None,
        anonymous_reply: bool | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> str:
        """See nym.Connection."""
        return await self._commit_file(
            path,
            on_progress,
            type="send",
            recipient_address=await self._address_of(recipient),
            **requests.given(reliable=reliable, anonymous_reply=anonymous_reply),
        )

    async def reply_file(
        self,
        question: Message | str,
        path: str | os.PathLike[str],
        *,
        reliable: bool | None = None,
        anonymous_reply: bool | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> str:
        """See nym.Connection."""
        return await self._commit_file(
            path,
            on_progress,
            **requests.way_back(question, anonymous_reply),
            **requests.given(reliable=reliable),
        )

    @asynccontextmanager
    async def messages(self, timeout: float | None = None) -> AsyncIterator[AsyncIterator[Message]]:
        """See nym.Connection."""
        with self._endpoint.line({"type": "subscribe", "window": 1}) as line:
            await line.open(after(timeout))
            messages = Messages(line, timeout)
            yield messages
            await messages.acknowledge()

    @asynccontextmanager
    async def failures(self, timeout: float | None = None) -> AsyncIterator[AsyncIterator[str]]:
        """See nym.Connection."""
        with self._endpoint.line({"type": "subscribe", "shared": True}) as line:
            await line.open(after(timeout))
            yield Failures(line, timeout)

    async def wait(
        self,
        message_id: str,
        timeout: float | None = None,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> None:
        """See nym.Connection."""
        until = after(timeout)
        arguments.callback("on_progress", on_progress)
        told = None
        while True:
            answer = await self._ask(until, **requests.about("progress", message_id))
            progress = values.progress(answer)
            if on_progress is not None and progress != told:
                on_progress(progress)
                told = progress
            if progress.state != "waiting":
                break
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the message {message_id} is still on its way: {progress.why}")
            await self._backend.sleep(min(LOOK, left))
        if progress.state != "done":
            raise DeliveryError(message_id, progress.state)

    async def progress(self, message_id: str) -> Progress:
        """See nym.Connection."""
        return values.progress(await self._ask(**requests.about("progress", message_id)))

    async def cancel(self, message_id: str) -> None:
        """See nym.Connection."""
        await self._ask_once(**requests.about("cancel", message_id))

    async def cancel_all(self, recipient: str | None = None) -> list[str]:
        """See nym.Connection."""
        if recipient is None:
            answer = await self._ask_once(type="cancel", all=True)
        else:
            answer = await self._ask_once(type="cancel", **await self._ends_of(recipient))
        return list(answer["ids"])

    async def outbox(self) -> list[WaitingMessage]:
        """See nym.Connection."""
        waiting: list[WaitingMessage] = []
        number: int | None = 0
        while number is not None:
            answer = await self._ask(type="outbox", after=number)
            waiting += answer["messages"]
            number = answer["next"]
        return waiting

    async def status(self) -> Status:
        """See nym.Connection."""
        answer = dict(await self._ask(type="status"))
        del answer["type"]
        return cast("Status", answer)

    async def clients(self) -> list[str]:
        """See nym.Connection."""
        return list((await self._ask(type="getClients"))["clients"])

    async def contacts(self) -> list[Contact]:
        """See nym.Connection."""
        answer = await self._ask(type="contacts")
        return [Contact(one["name"], one["address"], one["plain"]) for one in answer["contacts"]]

    async def name_of(self, address: str) -> str | None:
        """See nym.Connection."""
        named = (one for one in await self.contacts() if one.address.partition("@")[0] == address)
        return next((one.name for one in named), None)

    async def _begin(self) -> None:
        self.address = (await self._questions.open(self._endpoint.patience_ends()))["address"]

    async def _ask(self, until: float = inf, /, **request: object) -> Answer:
        # Patience begins with the call, not with its turn: so all who wait for a client that is
        # away have waited for it together.
        give_up = min(until, self._endpoint.patience_ends())
        async with self._in_turn(until):
            return await self._questions.ask(request, give_up, until)

    async def _ask_once(self, **request: object) -> Answer:
        give_up = self._endpoint.patience_ends()
        async with self._in_turn():
            return await self._questions.ask_once(request, give_up)

    @asynccontextmanager
    async def _in_turn(self, until: float = inf) -> AsyncIterator[None]:
        """Only one request is on its way over the line. Raises NotRunningError, RuntimeError."""
        self._backend.check_caller()
        try:
            await self._turn.acquire(until - time.monotonic())
        except TimeoutError as error:
            raise self._questions.not_running(error) from error
        try:
            yield
        finally:
            self._turn.release()

    async def _commit(self, **request: object) -> str:
        return str((await self._ask_once(**request))["id"])

    async def _commit_file(
        self,
        path: str | os.PathLike[str],
        on_progress: Callable[[int, int], object] | None,
        **request: object,
    ) -> str:
        arguments.callback("on_progress", on_progress)
        path = Path(path)  # refuses numbers, which `open` takes for descriptors
        with path.open("rb") as file, self._endpoint.line(DETAILS) as line:
            length = os.fstat(file.fileno()).st_size
            head = files.head(path.name)
            if length > (most := requests.LONGEST_MESSAGE - len(head)):
                raise TooLongError(f"the file {path} has {length} bytes; {most} are allowed")
            # A line of its own: a client puts together the parts that came over one connection.
            await line.open(self._endpoint.patience_ends())
            await line.exchange(requests.part(head))
            handed_over = 0
            for part in iter(partial(file.read, PART), b""):
                await line.exchange(requests.part(part))
                handed_over += len(part)
                if on_progress is not None:
                    on_progress(handed_over, length)
            answer = await line.commit({**request, "parts": True})
        return str(answer["id"])

    async def _ends_of(self, recipient: str) -> Request:
        """What a request says about whom messages in the outbox go to: an address, or a tag.

        Raises ContactsError.
        """
        try:
            return {"recipient_address": await self._address_of(recipient)}
        except ContactsError:
            if is_tag(recipient):
                return {"tag": recipient}
            raise

    async def _address_of(self, recipient: str) -> str:
        """Raises ContactsError if it is neither an address nor a contact's name."""
        if not isinstance(recipient, str):
            # Such as the sender of an anonymous message.
            raise TypeError(
                f"a recipient is an address or the name of a contact, not {recipient!r}"
            )
        if is_address(recipient):
            return recipient
        addresses = {contact.name: contact.address for contact in await self.contacts()}
        if recipient in addresses:
            return addresses[recipient]
        known = f" (known: {', '.join(addresses)})" if addresses else ""
        raise ContactsError(
            f'"{recipient}" is neither an address nor a contact{known}. To add a contact, run: '
            f"nym-client contacts add {shlex.quote(recipient)} ADDRESS"
        )


async def connect(
    backend: Backend,
    id: str | None,
    host: str | None,
    port: int | None,
    token: str | None,
    patience: float,
) -> Connection:
    """Connect as the arguments of nym.connect say. Raises what it raises."""
    if token is not None:
        token = arguments.word("token", token)
        if id is not None:
            # The control socket would take it for a request.
            raise ValueError("a connection by the client's id needs no token; leave it out")
    arguments.seconds("patience", patience)
    endpoint = Endpoint(backend, place(id, host, port), token, patience)
    connection = Connection(backend, endpoint)
    try:
        await connection._begin()
    except BaseException:
        await connection.close()
        raise
    return connection
