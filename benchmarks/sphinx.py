"""Making and processing packets, beside the curve products that they need.

The yardstick is the time of these products (benchmarks.packets) in libsodium, one after the other.
Packets in eights are measured by their share of a batch. The yardstick of two
threads is one thread.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.measure import Row, compare, measure
from benchmarks.packets import MOST_HOPS, USUAL_HOPS, Packets
from nym.sphinx import AT_ONCE

MANY = 8 * AT_ONCE  # so many that a thread is busy for milliseconds


def run() -> list[Row]:
    """Measure creating packets of 1 to 5 hops, processing one hop, and both in eights."""
    packets = Packets()
    hops = range(1, MOST_HOPS + 1)
    create_many, process_many = packets.create_together(MANY), packets.process_together(MANY)
    with ThreadPoolExecutor(2) as pool:
        times = measure(
            {
                "product": packets.product,
                "base product": packets.base_product,
                **{f"create {n}": packets.create(n) for n in hops},
                "process": packets.process(),
                "create in eights": packets.create_together(AT_ONCE),
                "process in eights": packets.process_together(AT_ONCE),
                "create many": create_many,
                "process many": process_many,
                "create many twice": partial(_in_both, pool, create_many),
                "process many twice": partial(_in_both, pool, process_many),
            }
        )

    def products(count: int, base: int) -> list[float]:
        pairs = zip(times["product"], times["base product"], strict=True)
        return [count * product + base * by_base for product, by_base in pairs]

    def share(name: str, packets: int) -> list[float]:
        return [time / packets for time in times[name]]

    return [
        *(
            compare(f"create a packet, {n} hops", times[f"create {n}"], products(n, 1))
            for n in hops
        ),
        compare("process a hop", times["process"], products(2, 0)),
        compare(
            f"create one of eight, {USUAL_HOPS} hops",
            share("create in eights", AT_ONCE),
            products(USUAL_HOPS, 1),
        ),
        compare("process one of eight", share("process in eights", AT_ONCE), products(2, 0)),
        *(
            compare(
                f"{what} in two threads",
                share(f"{what} many twice", 2 * MANY),
                share(f"{what} many", MANY),
            )
            for what in ("create", "process")
        ),
    ]


def _in_both(pool: ThreadPoolExecutor, work: Callable[[], object]) -> None:
    """Do the work in two threads, each once, at the same time."""
    for done in [pool.submit(work), pool.submit(work)]:
        done.result()
