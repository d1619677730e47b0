"""The yardstick of `timing`: a loop of gevent that does nothing but connect, at Poisson's times.

python -m benchmarks.bare MEAN prints its own port, and connects to it every MEAN seconds on
average.
"""

import socket
import sys
import time
from random import SystemRandom

from gevent.server import StreamServer

from nym.net.alarm import Alarm
from nym.net.listening import listen
from nym.timing import Poisson
from nym.wire.addresses import NodeAddress


def main(mean: float) -> None:
    """Go on for ever."""
    server = StreamServer(("127.0.0.1", 0), lambda connection, _: connection.close())
    place = listen(server)
    print(place.port, flush=True)
    stream = Poisson(mean, time.monotonic(), SystemRandom())
    with Alarm() as alarm:
        while True:
            alarm.wait_until(stream.deadline)
            _connect(place)
            stream.advance(time.monotonic())


def _connect(place: NodeAddress) -> None:
    with socket.socket() as connection:
        connection.setblocking(False)  # the first packet leaves at once
        connection.connect_ex(place)


if __name__ == "__main__":
    main(float(sys.argv[1]))
