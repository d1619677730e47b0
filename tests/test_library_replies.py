"""Answers without an address through the library: two programs, each beside a client on a network.

tests/test_replies.py has what clients do for them.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

import nym
import nym.aio
from nym.application import core
from nym.localnet.network import Network
from tests.harness import PATIENCE, Application, beside, running, wait_until

CONTENT = bytes(range(256)) * 10


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Ports of two clients, Alice's and Bob's; both have a free reply address."""
    with ExitStack() as stack:
        network = stack.enter_context(running(Network()))
        ports = []
        for _ in range(2):
            client = stack.enter_context(Application(network.url, reply_addresses=1))
            wait_until(partial(has_free_address, client), "a free reply address")
            ports.append(client.connection.getpeername()[1])
        yield (ports[0], ports[1])


def has_free_address(client: Application) -> bool:
    return bool(client.status()["reply_addresses"]["free"])


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is handed over in several parts."""
    monkeypatch.setattr(core, "PART", 1000)
    path = tmp_path / "photo.jpg"
    path.write_bytes(CONTENT)
    return path


@contextmanager
def connected(port: int) -> Iterator[tuple[nym.Connection, Iterator[nym.Message]]]:
    with nym.connect(port=port) as client, client.messages(timeout=PATIENCE) as messages:
        yield client, messages


def test_files_are_asked_and_answered(ports: tuple[int, int], photo: Path) -> None:
    file = nym.File("photo.jpg", CONTENT)
    with connected(ports[0]) as (alice, to_alice), connected(ports[1]) as (bob, to_bob):
        told: list[int] = []
        sent = alice.send_file(
            bob.address,
            photo,
            anonymous_reply=True,
            reliable=True,
            on_progress=lambda so_far, _: told.append(so_far),
        )
        assert told == [1000, 2000, len(CONTENT)]
        question = next(to_bob)
        assert (question.file, question.sender) == (file, None)
        assert question.reply_to is not None

        told.clear()
        bob.reply_file(question, photo, on_progress=lambda so_far, _: told.append(so_far))
        assert told == [1000, 2000, len(CONTENT)]
        answer = next(to_alice)
        assert (answer.file, answer.sender, answer.reply_from) == (file, bob.address, bob.address)
        alice.wait(sent, timeout=PATIENCE)

        bob.reply_file(question.reply_to, photo, anonymous_reply=True, reliable=True)
        answer = next(to_alice)
        assert (answer.file, answer.sender, answer.reply_from) == (file, None, bob.address)
        alice.reply_file(answer, photo)
        last = next(to_bob)
        assert (last.file, last.reply_from) == (file, question.reply_to)


def test_the_same_with_asyncio(ports: tuple[int, int], photo: Path) -> None:
    file = nym.File("photo.jpg", CONTENT)

    async def main() -> None:
        async with (
            nym.aio.connect(port=ports[0]) as alice,
            nym.aio.connect(port=ports[1]) as bob,
            alice.messages(timeout=PATIENCE) as to_alice,
            bob.messages(timeout=PATIENCE) as to_bob,
        ):
            await alice.send(bob.address, "who is there?", anonymous_reply=True)
            question = await anext(to_bob)
            assert (question.text, question.sender) == ("who is there?", None)

            sent = await bob.reply(question, "me", reliable=True)
            answer = await anext(to_alice)
            assert (answer.text, answer.sender) == ("me", bob.address)
            assert (answer.reply_from, answer.reply_to) == (bob.address, None)
            await bob.wait(sent, timeout=PATIENCE)
            assert (question.correspondent, answer.correspondent) == (
                question.reply_to,
                bob.address,
            )

            # The answer names Bob, and what is said next still doesn't name Alice.
            await alice.reply(answer, "nice", reliable=True)
            further = await anext(to_bob)
            assert (further.text, further.sender) == ("nice", None)
            assert further.correspondent == question.correspondent

            await bob.reply(question, "somebody", anonymous_reply=True)
            answer = await anext(to_alice)
            assert (answer.text, answer.sender) == ("somebody", None)
            await alice.reply_file(answer, photo)
            last = await anext(to_bob)
            assert (last.file, last.reply_from) == (file, question.reply_to)
            assert last.correspondent == question.correspondent != last.reply_to

            await alice.send_file(bob.address, photo, anonymous_reply=True)
            again = await anext(to_bob)
            # The same address serves the whole conversation.
            assert (again.file, again.reply_to) == (file, question.reply_to)

    beside(asyncio.run, main())
