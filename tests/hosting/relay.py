"""A line that is slow and bad: `python -m tests.hosting.relay ADDRESS:PORT TARGET:PORT SEED`.

It carries connections, delays what it carries by 40 ms, cuts it into pieces of any length, delivers
one piece in a hundred as late as TCP delivers a segment that was lost, and resets one connection in
five hundred in the middle.
"""

import asyncio
import sys
from contextlib import suppress
from random import Random

DELAY = 0.04  # seconds
LOST = 0.01  # the share of pieces that are lost and sent again
AGAIN = 0.25  # seconds that takes
RESET = 0.002  # the share of connections that break


class Relay:
    """Carries connections to one place."""

    def __init__(self, target: tuple[str, int], random: Random) -> None:
        self._target = target
        self._random = random

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(
                self._carry(reader, there_writer), self._carry(there_reader, writer)
            )
        except OSError:
            pass  # one side has gone; the other one learns it from the end of its connection
        finally:
            for one in (writer, there_writer):
                one.transport.abort() if self._random.random() < RESET else one.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await asyncio.sleep(DELAY)
            if self._random.random() < RESET:
                raise ConnectionResetError
            while data:
                length = self._random.randint(1, len(data))
                if self._random.random() < LOST:
                    await asyncio.sleep(AGAIN)
                writer.write(data[:length])
                await writer.drain()
                data = data[length:]
        with suppress(OSError):
            writer.write_eof()


def place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


async def main() -> None:
    """Carry connections for ever."""
    here, there, seed = sys.argv[1:]
    relay = Relay(place(there), Random(int(seed)))
    server = await asyncio.start_server(relay.serve, *place(here))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
