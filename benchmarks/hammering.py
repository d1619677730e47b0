"""An application that sends and receives the largest messages, over and over, as fast as it can.

python -m benchmarks.hammering PLACE RECIPIENT prints a line after its first round. PLACE is the
path of a socket for JSON lines, or the URL of a WebSocket. In a round, it sends the longest message
that fits, takes it back, so that the next one has room, and is handed over a message that waits for
it. It never acknowledges that one, so it is there in the next round, too.
"""

import base64
import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from websockets.sync.client import connect

from nym.wire.sizes import LONGEST_FRAME, LONGEST_SEALED

_ENVELOPE = 500  # bytes of JSON around a message, at most

Say = Callable[[str], None]
Hear = Callable[[], str]


def main(place: str, recipient: str) -> None:
    """Go on for ever."""
    is_web = place.startswith("ws:")
    longest = (LONGEST_FRAME - _ENVELOPE) // 4 * 3 if is_web else LONGEST_SEALED
    data = base64.b64encode(bytes(longest)).decode()
    send = json.dumps({"type": "send", "recipient_address": recipient, "data": data})
    for number in count():
        with (_web if is_web else _lines)(place) as (say, hear):
            say(send)
            sent = json.loads(hear())
            say(json.dumps({"type": "cancel", "id": sent["id"]}))
            hear()
            say(json.dumps({"type": "subscribe", "window": 1}))
            hear()
            received = len(hear())
        if not number:
            print(f"{len(send)} characters of JSON were sent, {received} received", flush=True)


@contextmanager
def _lines(path: str) -> Iterator[tuple[Say, Hear]]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        with connection.makefile("rw") as file:

            def say(text: str) -> None:
                file.write(f"{text}\n")
                file.flush()

            yield say, file.readline


@contextmanager
def _web(url: str) -> Iterator[tuple[Say, Hear]]:
    with connect(url, max_size=None) as connection:
        yield connection.send, lambda: str(connection.recv())


if __name__ == "__main__":
    main(*sys.argv[1:])
