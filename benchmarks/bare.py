"""The yardstick of `timing`: a loop of gevent that does nothing but connect, at Poisson's times.

python -m benchmarks.bare MEAN prints its own port, and connects to it every MEAN seconds on
average.
"""

import sys
import time
from random import SystemRandom

import gevent
from gevent import socket
from gevent.server import StreamServer

from nym.net.listening import listen
from nym.net.watch import run_stream
from nym.timing import Poisson
from nym.wire.addresses import NodeAddress


def main(mean: float) -> None:
    """Go on for ever."""
    server = StreamServer(("127.0.0.1", 0), lambda connection, _: connection.close())
    place = listen(server)
    print(place.port, flush=True)

    def connect() -> None:
        gevent.spawn(_connect, place)

    run_stream(Poisson(mean, time.monotonic(), SystemRandom()), connect)


def _connect(place: NodeAddress) -> None:
    socket.create_connection(place).close()


if __name__ == "__main__":
    main(float(sys.argv[1]))
