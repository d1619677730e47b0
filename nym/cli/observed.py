"""What was seen of a client by each of those who can see a part of it: as a table, and as JSON."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from nym.cli.verdicts import FirstLayer, Verdict, judge
from nym.timing import duration
from nym.wire.sightings import Observing, PacketSeen, PullSeen
from nym.wire.sizes import PACKET_LENGTH
from nym.wire.text import visible

MOST = 100_000  # packets and pulls that are judged, the last ones; at default rates, seven hours
_LONGEST = 400  # characters of a line
_WORDS = {
    "loop": "loops",
    "drop": "drop cover",
    "answer": "acknowledgements and notes",
    "fragment": "fragments of messages",
}


class Observed:
    """Collects sightings. `first_layer` is that of the network as it is now."""

    def __init__(self, rates: Observing, first_layer: FirstLayer) -> None:
        self.first_layer = first_layer
        self._rates = rates
        self._first_layer_before = first_layer
        self._packets: deque[PacketSeen] = deque(maxlen=MOST)
        self._pulls: deque[PullSeen] = deque(maxlen=MOST)
        self._carried = Counter[str]()
        self._first_hops = Counter[str]()
        self._providers: dict[str, Counter[str]] = {}

    def add(self, seen: dict[str, Any]) -> None:
        """Add what the client told."""
        kind = seen.pop("type")
        if kind == "packet":
            packet = PacketSeen(**seen)
            self._packets.append(packet)
            self._carried[packet.carries] += 1
            self._first_hops[packet.first_hop] += 1
        elif kind == "pull":
            pull = PullSeen(**seen)
            self._pulls.append(pull)
            self._providers.setdefault(pull.provider, Counter()).update(
                pulls=1,
                failed=pull.messages is None,
                messages=pull.messages or 0,
                sealed=pull.sealed,
                bytes_out=pull.bytes_out,
                bytes_in=pull.bytes_in,
            )

    def verdicts(self) -> list[Verdict]:
        """What the tests say up to now."""
        layers = self._first_layer_before, self.first_layer
        return list(judge(self._rates, list(self._packets), list(self._pulls), *layers))

    def lines(self, name: str, seconds: float, verdicts: list[Verdict]) -> Iterator[str]:
        """A table, for people."""
        rows = [("client", f"{name}, watched for {duration(seconds)}"), *self._rows(seconds)]
        rows += [("test", f"{v.word:<5}{v.test}: {v.found}") for v in verdicts]
        before = ""
        for head, text in rows:
            yield f"{'' if head == before else head:<12}{visible(text, _LONGEST)}"
            before = head

    def as_json(self, seconds: float, verdicts: list[Verdict]) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "seconds": round(seconds, 3),
            **self._rates._asdict(),
            "line": self._line(),
            "first_hops": self._hops(),
            "providers": [
                {"address": address, **counts} for address, counts in self._providers.items()
            ],
            "packets": {kind: self._carried[kind] for kind in _WORDS},
            "tests": [verdict.as_json() for verdict in verdicts],
        }

    def _rows(self, seconds: float) -> Iterator[tuple[str, str]]:
        line = self._line()
        yield (
            "line",
            f"{line['packets']} packets of {PACKET_LENGTH} bytes, {line['packets'] / seconds:.2f} "
            f"per second; {line['pulls']} pulls",
        )
        yield "line", f"{line['bytes_out']} bytes out, {line['bytes_in']} bytes in, without TCP"
        for node, count in self._hops().items():
            yield "mixnode", f"{node}  {count} packets, {count / (line['packets'] or 1):.1%}"
        for address, counts in self._providers.items():
            how = "on a sealed line" if counts["sealed"] else "not on a sealed line"
            failed = f", {counts['failed']} of them failed" if counts["failed"] else ""
            yield (
                "provider",
                f"{address}  {counts['pulls']} pulls {how}{failed}; {counts['messages']} messages, "
                "loops included",
            )
        kinds = ", ".join(f"{self._carried[kind]} {what}" for kind, what in _WORDS.items())
        yield "not seen", kinds

    def _line(self) -> dict[str, int]:
        packets, pulls = self._carried.total(), sum(self._providers.values(), Counter[str]())
        return {
            "packets": packets,
            "pulls": pulls["pulls"],
            "bytes_out": packets * PACKET_LENGTH + pulls["bytes_out"],
            "bytes_in": pulls["bytes_in"],
        }

    def _hops(self) -> dict[str, int]:
        """Those of the first layer, and others that were used before."""
        return {
            node: self._first_hops[node]
            for node in sorted(self.first_layer.nodes | self._first_hops.keys())
        }
