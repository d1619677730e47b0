"""How a whole network is, as its directories and its nodes show it to anybody.

A check asks the directories as a client does (`sight`), tries each port (`ports`), and sends loops
through every node and to every provider (`loops`; `routes` covers all of them). `blame` and
`culprits` find out who loses loops, `problems` says in words what is wrong (`unusable`: with
directories; `planned`: compared with a plan), and `report` is the whole as data.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from random import SystemRandom

from gevent.pool import Pool

from nym.client.judging import Judging
from nym.client.kept_lists import KeptLists
from nym.errors import RemoteError
from nym.judge import PROVIDERS
from nym.net.trust import Trust
from nym.network.check import problems, unusable
from nym.network.check.blame import Figures, by_node, figures
from nym.network.check.culprits import Verdict, find_culprits
from nym.network.check.loops import PATIENCE, Loop, Prober
from nym.network.check.nodes import Facts
from nym.network.check.planned import differences
from nym.network.check.ports import closed_ports
from nym.network.check.report import CheckReport, DirectoryReport
from nym.network.check.routes import covering
from nym.network.check.sight import Sight, look
from nym.network.plan import Plan
from nym.reports import by_number
from nym.topology import Mix, ProviderNode
from nym.wire.addresses import NodeAddress
from nym.wire.text import visible_url

Node = Mix | ProviderNode


class NetworkCheck:
    """Checks one network, each time as the same client.

    The `directories` are URLs, and one of the `keys`, if there are any, has to sign what they list.
    With a `plan`, the network has to be as planned. A loop is lost after `patience` seconds beyond
    its delays.
    """

    def __init__(
        self,
        directories: Sequence[str],
        keys: Collection[bytes],
        plan: Plan | None = None,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._random = SystemRandom()
        # One for each: lists that come side by side may be of different ages, and a Judging looks
        # at one list at a time.
        self._trust = {url: Trust(keys) for url in directories}
        self._judging = {url: Judging(KeptLists(), resolve_names=False) for url in directories}
        self._prober = Prober(self._random, patience)
        self._plan = plan
        # The most that are planned, or were seen: if the last one goes, it is missing.
        self._layers = len(plan.layers()) if plan else 0

    def run(self) -> CheckReport:
        """Check once. What is wrong is in the report. Raises OwnFaultError."""
        began, start = time.time(), time.monotonic()
        by_url, errors = self._look()
        directories = [
            by_url[url].report if url in by_url else DirectoryReport(url, unusable.why(errors[url]))
            for url in map(visible_url, self._judging)
        ]
        sights = list(by_url.values())
        if not sights:
            found = list(problems.of_directories(directories, errors, {}))
            return CheckReport(began, time.monotonic() - start, directories, problems=found)
        # The first one that clients can use, as they do.
        sight = next((sight for sight in sights if not sight.obstacle), sights[0])
        self._layers = len(sight.topology.layers)
        nodes: list[Node] = [*chain.from_iterable(sight.topology.layers), *sight.topology.providers]
        closed = closed_ports(chain.from_iterable(map(_places, nodes)))
        loops, verdict = self._send_loops(sight, nodes, closed)
        facts = Facts(closed, self._prober.troubles(), by_node(loops), began)
        reports = facts.reports(sight)
        left_out, total = by_number(sight.judgement.left_out), figures(loops)
        return CheckReport(
            began,
            time.monotonic() - start,
            directories,
            whole=not sight.obstacle,
            layers=[len(layer) for layer in sight.topology.layers],
            providers=len(sight.topology.providers),
            left_out=left_out,
            loops_sent=total.sent,
            loops_lost=total.lost,
            latency_ms=total.latency_ms,
            nodes=reports,
            problems=[
                *problems.of_directories(directories, errors, _differing(sight, by_url)),
                *problems.of_the_list(sight.obstacle, left_out),
                *(differences(self._plan, sight.records) if self._plan else ()),
                *problems.of_nodes(reports),
                *problems.of_keys(reports),
                *problems.of_loops(reports, verdict, total),
            ],
        )

    def _look(self) -> tuple[dict[str, Sight], dict[str, RemoteError]]:
        """Ask all directories: what those list that can be used, and why others can't be.

        Both are by the directories' URLs, without passwords.
        """

        def ask(url: str) -> Sight | RemoteError:
            try:
                return look(url, self._trust[url], self._judging[url], self._layers)
            except RemoteError as error:
                return error

        urls = map(visible_url, self._judging)
        answers = list(zip(urls, Pool(len(self._judging)).imap(ask, self._judging), strict=True))
        return (
            {url: answer for url, answer in answers if isinstance(answer, Sight)},
            {url: answer for url, answer in answers if isinstance(answer, RemoteError)},
        )

    def _send_loops(
        self, sight: Sight, nodes: Sequence[Node], closed: Collection[NodeAddress]
    ) -> tuple[list[Loop], Verdict]:
        """Send loops through all nodes, as far as they can be used, and find out who loses them."""
        providers = sight.topology.providers
        self._prober.register(providers)
        first, *others = sight.topology.layers
        # Clients connect to the first layer and to their provider. Where this one can't, there is
        # no way into the network, or out of it.
        ways_in = [node for node in first if node.address not in closed]
        ways_out = [node for node in providers if node.public_key not in self._prober.troubles()]
        nodes_by_stage: list[Sequence[Node]] = [ways_in, *others, ways_out]
        stages = [[node.public_key for node in stage] for stage in nodes_by_stage]
        if not all(stages):
            return [], Verdict([], Figures())
        by_key = {node.public_key: node for node in nodes}

        def send(routes: Iterable[tuple[bytes, ...]]) -> list[Loop]:
            return self._prober.send(tuple(by_key[key] for key in route) for route in routes)

        unreached = {node.public_key for node in nodes if node.address in closed}
        loops = send(covering(stages, unreached, self._random))
        return loops, find_culprits(loops, send)


def _places(node: Node) -> list[NodeAddress]:
    """Where it takes connections."""
    return [*node.place] if isinstance(node, ProviderNode) else [node.address]


def _differing(sight: Sight, sights: Mapping[str, Sight]) -> dict[str, list[str]]:
    """For each directory by its URL, the nodes of `sight` that it doesn't list."""
    return {
        url: [
            f"{'provider' if node.layer == PROVIDERS else 'mixnode'} {node.address}"
            for node in sight.judgement.nodes.keys() - other.judgement.nodes.keys()
        ]
        for url, other in sights.items()
    }
