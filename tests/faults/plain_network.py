"""A network without sealed lines in a process of its own: python -m tests.faults.plain_network."""

from gevent import monkey

monkey.patch_all(os=False, signal=False, subprocess=False)

import gevent  # noqa: E402 - after the patches

from tests.harness import PlainNetwork, running  # noqa: E402

if __name__ == "__main__":
    with running(PlainNetwork(width=2)) as network:
        print(network.url, flush=True)
        gevent.wait()
