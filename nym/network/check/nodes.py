"""Puts together what is known of each node: its record, what was tried, and its loops."""

from collections.abc import Mapping

from nym.errors import RemoteError
from nym.network.check.blame import Figures
from nym.network.check.report import NodeReport
from nym.network.check.sight import Sight
from nym.topology import Mix, ProviderNode
from nym.wire.addresses import NodeAddress
from nym.wire.keys import encode_base58
from nym.wire.versions import MINUTE, identity_in, since_in


class Facts:
    """What was tried and counted.

    `closed` has the ports that take no connection, each with the reason. `unregistered` has the
    providers that don't serve clients, and `through` the figures of loops, by the nodes' keys.
    `now` is in seconds since 1970.
    """

    def __init__(
        self,
        closed: Mapping[NodeAddress, str],
        unregistered: Mapping[bytes, RemoteError],
        through: Mapping[bytes, Figures],
        now: float,
    ) -> None:
        self._closed = closed
        self._unregistered = unregistered
        self._through = through
        self._now = now

    def reports(self, sight: Sight) -> list[NodeReport]:
        """The reports about all nodes: mixnodes by layer, then providers.

        They are in the order of their addresses, which stay while keys change.
        """
        mixnodes = [
            self._report(sight, node, "mixnode")._replace(layer=layer)
            for layer, nodes in enumerate(sight.topology.layers, 1)
            for node in sorted(nodes, key=_address)
        ]
        providers = sorted(sight.topology.providers, key=_address)
        return mixnodes + [self._provider(sight, node) for node in providers]

    def _provider(self, sight: Sight, node: ProviderNode) -> NodeReport:
        report = self._report(sight, node, "provider")
        refusal, why = self._unregistered.get(node.public_key), report.trouble
        if why is None and (reason := self._closed.get(node.client_address)):
            why = f"its port for clients, {node.client_address}: {reason}"
        elif why is None and refusal:
            why = f"clients can't use it: {refusal}"
        return report._replace(
            client_address=str(node.client_address),
            clients_reached=node.client_address not in self._closed,
            sealed_line=node.offers_line,
            registered=refusal is None,
            trouble=why,
        )

    def _report(self, sight: Sight, node: Mix | ProviderNode, role: str) -> NodeReport:
        version = sight.versions[node.public_key]
        identity = identity_in(version)
        loops = self._through.get(node.public_key, Figures())
        return NodeReport(
            role=role,
            layer=None,
            key=encode_base58(node.public_key),
            address=str(node.address),
            version=version,
            identity=None if identity is None else encode_base58(identity),
            key_age=self._age(sight, since_in(version)),
            reached=node.address not in self._closed,
            trouble=self._closed.get(node.address),
            loops_sent=loops.sent,
            loops_lost=loops.lost,
            latency_ms=loops.latency_ms,
        )

    def _age(self, sight: Sight, since: int | None) -> float | None:
        """How old a key of this minute is, in seconds."""
        # By the directory's clock, which nodes have to agree with, and this machine's need not.
        now = self._now + (sight.report.clock_off or 0.0)
        return None if since is None else max(0.0, round(now - since * MINUTE, 1))


def _address(node: Mix | ProviderNode) -> NodeAddress:
    return node.address
