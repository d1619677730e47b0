"""The library with asyncio: its backend, and what is different there from tests/test_library.py.

The event loop runs in a thread of its own, beside the client's greenlets.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from math import inf
from pathlib import Path
from typing import Any, TypeVar

import gevent
import pytest

import nym
import nym.aio
from nym.application import aio
from nym.sockets.tcp import TcpSocket
from nym.wire.keys import encode_base58
from tests.harness import OTHER, OWN, PATIENCE, Served, beside, free_port, wait_until
from tests.test_library_restarts import Said, scripted

BOB = encode_base58(OTHER)
Result = TypeVar("Result")


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(TcpSocket) as served:
        yield served


def run(main: Coroutine[Any, Any, Result]) -> Result:
    result: Result = beside(asyncio.run, main)
    return result


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_requests(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")

    async def main() -> None:
        async with nym.aio.connect(port=served.port) as client:
            assert client.address == encode_base58(OWN)
            sent = await client.send(BOB, "hello", reliable=True)
            assert (await client.progress(sent)).state == "waiting"
            assert [message["id"] for message in await client.outbox()] == [sent]
            with pytest.raises(TimeoutError):
                await client.wait(sent, timeout=0.01)
            await client.cancel(sent)
            with pytest.raises(nym.DeliveryError):
                await client.wait(sent)
            file = await client.send_file(BOB, path)
            assert await client.cancel_all() == [file]
            assert (await client.status())["outbox"] == 0
            assert await client.contacts() == []
            with pytest.raises(nym.NoNetworkError):
                await client.clients()

    run(main())


def test_messages_are_acknowledged(served: Served) -> None:
    served.deliver(b"one", b"two", b"three")

    async def fail(client: nym.aio.Connection) -> None:
        async with client.messages() as messages:
            await anext(messages)
            raise ZeroDivisionError

    async def main() -> None:
        client = await nym.aio.connect(host="localhost", port=served.port)
        async with client.messages() as messages:
            assert (await anext(messages)).text == "one"
            async for message in messages:
                assert (message.text, len(served.inbox)) == ("two", 2)
                break
        with pytest.raises(ZeroDivisionError):
            await fail(client)
        async with client.messages() as messages:
            assert (await anext(messages)).text == "three"
        async with client.messages(timeout=0.1) as messages:
            assert [message async for message in messages] == []
        await client.close()

    run(main())
    assert len(served.inbox) == 0


def test_a_loop_that_is_cancelled_leaves_its_message(served: Served) -> None:
    served.deliver(b"one")
    heard: list[str] = []

    async def work(client: nym.aio.Connection) -> None:
        async with client.messages() as messages:
            heard.append((await anext(messages)).text)
            await asyncio.sleep(PATIENCE)

    async def main() -> None:
        async with nym.aio.connect(port=served.port) as client:
            working = asyncio.create_task(work(client))
            await until(lambda: heard)
            working.cancel()
            await asyncio.wait([working])
            assert working.cancelled()
            # A wait can be cancelled without an end of the loop.
            async with client.messages() as messages:
                assert (await anext(messages)).text == "one"
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(messages), 0.1)
                heard.append("nothing for a while")
                assert (await anext(messages)).text == "two"

    running = gevent.get_hub().threadpool.spawn(asyncio.run, main())
    wait_until(lambda: len(heard) == 2 or running.ready())
    served.deliver(b"two")
    running.get()
    assert len(served.inbox) == 0


def test_a_read_that_is_cancelled_loses_nothing() -> None:
    async def main() -> bytes:
        here, there = socket.socketpair()
        here.setblocking(False)
        with here, there:
            stream = aio._Stream(here)
            reading = asyncio.ensure_future(stream.read(inf))
            await asyncio.sleep(0)
            there.send(b"one")
            # In the loop's next round, the socket is looked at first, then the timer goes off, and
            # the task goes on last.
            asyncio.get_running_loop().call_later(0, reading.cancel)
            with pytest.raises(asyncio.CancelledError):
                await reading
            return await stream.read(0)

    assert run(main()) == b"one"


def test_after_a_restart_everything_goes_on(served: Served) -> None:
    heard: list[str] = []
    outcomes: list[str] = []

    async def listen(client: nym.aio.Connection) -> None:
        async with client.messages() as messages:
            async for message in messages:
                heard.append(message.text)  # noqa: PERF401 - others look at it meanwhile

    async def main() -> None:
        async with nym.aio.connect(port=served.port) as client:
            listening = asyncio.create_task(listen(client))
            await until(lambda: len(heard) == 2)
            outcomes.append(await client.send(BOB, "hello"))
            await client.close()
            await listening

    running = gevent.get_hub().threadpool.spawn(asyncio.run, main())
    served.deliver(b"one")
    wait_until(lambda: heard or running.ready())
    served.restart()
    served.deliver(b"two")
    running.get()
    assert heard == ["one", "two"]
    assert outcomes[0] in served.outbox


def test_tasks_share_a_connection(served: Served) -> None:
    served.deliver(*(str(number).encode() for number in range(30)))
    heard: list[int] = []

    async def work(client: nym.aio.Connection) -> None:
        for _ in range(10):
            sent = await client.send(BOB, "")
            assert (await client.progress(sent)).state == "waiting"
            await client.cancel(sent)

    async def listen(client: nym.aio.Connection) -> None:
        async with client.messages() as messages:
            async for message in messages:
                heard.append(int(message.text))  # noqa: PERF401 - others look at it meanwhile

    async def main() -> None:
        async with nym.aio.connect(port=served.port) as client, asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(listen(client))
            workers = [group.create_task(work(client)) for _ in range(5)]
            await asyncio.gather(*workers)
            await until(lambda: len(heard) == 30)
            await client.close()

    run(main())
    assert sorted(heard) == [*range(30)]
    assert len(served.inbox) == 0


def test_a_question_that_is_cancelled_leaves_its_answer_to_nobody() -> None:
    asked = gevent.event.Event()

    def slow(request: Said) -> list[Said | None]:
        if request["type"] == "progress":
            asked.wait()
        return [{**request, "address": "own", "state": request["type"]}]

    async def main() -> None:
        async with nym.aio.connect(port=port) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.progress("1"), 0.05)
            heard.append("nothing")
            assert (await client.status())["state"] == "status"

    heard: list[str] = []
    with scripted(slow, slow) as (port, _):
        running = gevent.get_hub().threadpool.spawn(asyncio.run, main())
        wait_until(lambda: heard or running.ready())
        asked.set()
        running.get()


def test_another_event_loop_needs_a_connection_of_its_own(served: Served) -> None:
    """A lock or a socket in two loops at once would hang, or lose what it reads."""
    served.deliver(b"one")

    async def is_refused(ask: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            await ask()

    async def main() -> None:
        async with nym.aio.connect(port=served.port) as client:

            async def loop() -> None:
                async with client.messages():
                    pass

            async with client.messages() as messages:
                first = await anext(messages)
                asks: list[Callable[[], Awaitable[object]]] = [
                    client.status,
                    lambda: client.send(BOB, ""),
                    loop,
                    lambda: anext(messages),
                    client.close,
                ]
                for ask in asks:
                    await asyncio.to_thread(asyncio.run, is_refused(ask))
                assert first.data == b"one"
                await client.status()

    run(main())
    assert len(served.inbox) == 0


def test_all_who_wait_for_a_client_wait_for_it_together(served: Served) -> None:
    patience = 0.5
    connected: list[nym.aio.Connection] = []
    stopped: list[bool] = []

    async def main() -> float:
        async with nym.aio.connect(port=served.port, patience=patience) as client:
            connected.append(client)
            await until(lambda: stopped)
            began = time.monotonic()
            asks = [client.status(), client.send(BOB, ""), client.outbox(), client.status()]
            for outcome in await asyncio.gather(*asks, return_exceptions=True):
                assert isinstance(outcome, nym.NotRunningError)
            # Nor does one that has less time wait for those before it.
            asking = asyncio.create_task(client.status())
            with pytest.raises(nym.NotRunningError):
                await client.wait("1", timeout=0.1)
            assert not asking.done()
            with pytest.raises(nym.NotRunningError):
                await asking
            return time.monotonic() - began

    running = gevent.get_hub().threadpool.spawn(asyncio.run, main())
    wait_until(lambda: connected or running.ready())
    served.socket.stop()
    stopped.append(True)
    took = running.get()
    assert took is not None
    assert 2 * patience <= took < 4 * patience


def test_where_nothing_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "nym/clients/alice").mkdir(parents=True)
    port = free_port()

    async def main() -> None:
        for place in ({"id": "alice"}, {"port": port}):
            with pytest.raises(nym.NotRunningError, match="doesn't run; start it with"):
                await nym.aio.connect(**place, patience=0)

    run(main())


def test_a_socket_in_the_file_system(tmp_path: Path) -> None:
    place = f"unix:{tmp_path}/alice.sock"

    async def main() -> str:
        async with nym.aio.connect(host=place) as client:
            return client.address

    with Served(TcpSocket, host=place):
        assert run(main()) == encode_base58(OWN)
