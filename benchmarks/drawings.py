"""The drawings of docs/performance.md: python -m benchmarks drawings --draw FOLDER.

All of it is processor time, and the least of some rounds.
"""

from collections.abc import Callable
from pathlib import Path

from benchmarks import directory, growth
from benchmarks.measure import least
from benchmarks.network.plot import Axis, Line, draw
from benchmarks.packets import USUAL_HOPS, Packets
from nym.sphinx import AT_ONCE

_NODES = (10, 30, 100, 300, 1000, 3000, 10_000)
_RIGHT = 12_000  # the end of the axis, so that the last number has room

Drawing = tuple[str, Axis, Axis, list[Line]]


def draw_all(folder: Path) -> None:
    """Write all drawings to `folder`, which takes a minute."""
    folder.mkdir(parents=True, exist_ok=True)
    made_by = f"python -m benchmarks drawings --draw {folder}"
    for name, make in FIGURES.items():
        title, x, y, lines = make()
        (folder / f"{name}.svg").write_text(draw(title, made_by, x, y, lines))


def _together() -> Drawing:
    packets, numbers = Packets(), range(1, AT_ONCE + 1)
    found = _microseconds(
        {
            "product": packets.product,
            "base": packets.base_product,
            **{f"create {n}": packets.create_together(n) for n in numbers},
            **{f"process {n}": packets.process_together(n) for n in numbers},
        }
    )
    products = {
        "create": USUAL_HOPS * found["product"] + found["base"],
        "process": 2 * found["product"],
    }
    lines = []
    for what, name in (
        ("create", f"a packet of {USUAL_HOPS} hops"),
        ("process", "a hop unwrapped"),
    ):
        lines += [
            Line(name, [(n, found[f"{what} {n}"] / n) for n in numbers]),
            Line("its products by libsodium", [(n, products[what]) for n in (1, AT_ONCE)]),
        ]
    return (
        "What a packet takes when several are made together",
        Axis("packets that are made, or unwrapped, together", 1, AT_ONCE, step=1),
        Axis("microseconds for each", 0, 250),
        lines,
    )


def _routes() -> Drawing:
    found = _microseconds({str(nodes): growth.route(nodes) for nodes in _NODES})
    return (
        "What a route takes to draw",
        Axis("mixnodes in the network", _NODES[0], _RIGHT, is_log=True),
        Axis("microseconds", 0, 100),
        [Line("a route through three layers", [(n, found[str(n)]) for n in _NODES])],
    )


def _reading() -> Drawing:
    sizes = _NODES[2:]
    work: dict[str, Callable[[], object]] = {}
    first = []
    for size in sizes:
        answer = directory.answer_with(size)
        first.append((size, directory.first(answer) * 1000))
        work[str(size)] = directory.reader(answer)
    found = _microseconds(work)
    return (
        "What the answer of a directory takes to read",
        Axis("nodes in the directory", sizes[0], _RIGHT, is_log=True),
        Axis("milliseconds", 0.5, 1000, is_log=True),
        [
            Line("the first time", first),
            Line("again, ten seconds later", [(n, found[str(n)] / 1000) for n in sizes]),
        ],
    )


def _microseconds(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    return {name: seconds * 1e6 for name, seconds in least(work).items()}


FIGURES: dict[str, Callable[[], Drawing]] = {
    "together": _together,
    "routes": _routes,
    "reading": _reading,
}
