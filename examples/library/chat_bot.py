"""A bot that knows the time and keeps notes, for several people at once.

Usage: python3 chat_bot.py ID
"""

import asyncio
import sys
from collections import defaultdict
from datetime import datetime

import nym
import nym.aio

HELP = "I know: time, note TEXT, notes"
WORKERS = 4  # so that a slow answer doesn't hold up the others


async def main(own: str) -> None:
    """Answer for ever."""
    notes: dict[str, list[str]] = defaultdict(list)
    async with nym.aio.connect(own) as client, asyncio.TaskGroup() as group:
        group.create_task(tell_of_failures(client))
        for _ in range(WORKERS):
            group.create_task(work(client, notes))


async def work(client: nym.aio.Connection, notes: dict[str, list[str]]) -> None:
    """Answer one message after the other; each worker gets others."""
    async with client.messages() as messages:
        async for message in messages:
            if message.sender:  # people have to write reliable messages: `nym-client chat` does
                said = answer(message.data.decode(errors="replace"), notes[message.sender])
                try:
                    await client.send(message.sender, said, reliable=True)
                except nym.RefusedError as error:  # such as an outbox that is full
                    print("one message was not answered:", error, file=sys.stderr)


def answer(text: str, notes: list[str]) -> str:
    """What the bot says to this."""
    match text.split(maxsplit=1):
        case ["time"]:
            return f"{datetime.now():%A, %H:%M}"
        case ["note", note]:
            notes.append(note)
            return f"{len(notes)} noted"
        case ["notes"]:
            return "\n".join(notes) or "nothing noted"
    return HELP


async def tell_of_failures(client: nym.aio.Connection) -> None:
    """Print which answers never arrived."""
    async with client.failures() as failures:
        async for message_id in failures:
            print("could not be delivered:", message_id, file=sys.stderr)


asyncio.run(main(*sys.argv[1:]))
