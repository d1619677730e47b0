"""A provider: it keeps messages for its clients until they pull them.

docs/protocol/provider.md
"""

import logging
from functools import partial
from typing import Any

import gevent
from gevent.event import Event

from nym._secrets import Secret
from nym.config.nodes import LimitSettings
from nym.errors import NoInboxError, NotForThisNodeError, NymError, StoreError
from nym.nodes.inboxes import Inboxes
from nym.nodes.keyring import Keys
from nym.nodes.limits import LIMITS, source_limits
from nym.nodes.listing import Listing
from nym.nodes.members import Members
from nym.nodes.node import Node, Trace
from nym.nodes.posting import Desk
from nym.nodes.reception import Reception
from nym.nodes.visits import Answer
from nym.signing import Signer
from nym.sphinx import Final, Forward
from nym.wire import directory as records
from nym.wire.addresses import NodeAddress
from nym.wire.clients import AddressList
from nym.wire.versions import with_line

AGE_PERIOD = 60.0  # seconds between two looks for what is too old
MESSAGES, CLIENTS = "messages", "clients"  # what goes when it is too old

log = logging.getLogger(__name__)


class Provider(Node):
    """A provider: it listens for packets at one place, and for its clients at another.

    It makes clients' tokens with the key `tokens`. If it has an identity, which is that of its
    `signer`, it offers clients a sealed line. With `members`, other processes are the same
    provider.
    """

    role = "provider"

    def __init__(
        self,
        keys: Keys[Any],
        tokens: Secret,
        packets: NodeAddress,
        clients: NodeAddress,
        inboxes: Inboxes,
        *,
        announced: NodeAddress | None = None,
        announced_clients: NodeAddress | None = None,
        trace: Trace | None = None,
        signer: Signer | None = None,
        limits: LimitSettings = LIMITS,
        members: Members | None = None,
    ) -> None:
        super().__init__(keys, packets, announced, trace, signer, limits)
        self._inboxes = inboxes
        self._members = members
        self._announced_clients = announced_clients
        self._listing = Listing(self._record, inboxes.clients, self._say)
        if signer is not None:
            self._lasting = with_line(self._lasting)
        self._reception = Reception(
            clients,
            inboxes,
            tokens,
            signer.exchange_keys() if signer is not None else None,
            # Others can write to a client once the directory lists it, so the provider posts at
            # once.
            self.changed.set,
            self._say,
            self.counts,
            source_limits(limits),
        )
        self._delivered = self.counts.count(
            "nym_node_packets_delivered_total", "Packets whose message is in an inbox."
        )
        self._undelivered = self.counts.count(
            "nym_provider_packets_for_nobody_total",
            "Packets for addresses that aren't registered here: cover, mostly.",
        )
        self._aged = self.counts.kinds(
            "nym_provider_aged_out_total",
            "Messages that were too old, and clients that were silent for too long.",
            "kind",
            (MESSAGES, CLIENTS),
        )
        self.counts.gauge(
            "nym_provider_processes",
            "Processes that are this provider together.",
            lambda: members.count if members else 1,
        )
        self.counts.gauge("nym_provider_inboxes", "Clients.", inboxes.__len__)
        self.counts.gauge("nym_provider_messages", "Messages that wait.", inboxes.count)

    @property
    def client_address(self) -> NodeAddress:
        """Where clients register and pull."""
        return self._reception.address

    @property
    def client_place(self) -> NodeAddress:
        """Where clients find this provider."""
        return self._announced_clients or self.client_address

    def start(self, *directories: str) -> None:
        """See Node."""
        super().start(*directories)
        self._watch.start(f"ages at {self.address}", self._keep_aging)
        if self._members is not None:
            notes = partial(self._members.run, self.changed)
            self._watch.start(f"processes of {self.address}", notes)

    def stop(self) -> None:
        """See Node; the inboxes stay open."""
        super().stop()
        self._reception.stop()

    def listen(self) -> None:
        """See Node."""
        super().listen()
        self._reception.listen()

    def _post(self, desk: Desk) -> None:
        self._listing.post(desk)

    def _record(self, clients: AddressList) -> records.Provider:
        key = self.keys.current.public_key
        return records.Provider(
            str(self.place), str(self.client_place), key, clients, self._version
        )

    @property
    def _speaks(self) -> bool:
        return self._members is None or self._members.is_first

    def _is_last_to_leave(self) -> bool:
        return self._members is None or self._members.leave()

    def _finish(self, hurry: Event) -> None:
        self._inboxes.flush()

    def _handle(self, unwrapped: Forward | Final, answer: Answer) -> None:
        if isinstance(unwrapped, Forward):
            raise NotForThisNodeError("its route goes on behind a provider")
        kept = partial(self._kept, answer)
        self._inboxes.keep(unwrapped.destination, unwrapped.message(), kept)

    def _kept(self, answer: Answer, error: NymError | None) -> None:
        if error is None:
            self._delivered.add()
            answer.give()
        elif isinstance(error, NoInboxError):
            # Drop cover, mostly (nym.client.cover). It is answered like a message, so that the
            # answer doesn't show what it was. A provider of 0.4 does the same.
            self._undelivered.add()
            answer.give()
        else:
            self._door.drop(answer, error)

    def _keep_aging(self) -> None:
        while True:
            try:
                gone = self._inboxes.age()
            except StoreError as error:  # which the inboxes have logged
                log.debug("%s keeps what is too old: %s", self.address, error)
                gevent.sleep(AGE_PERIOD)
                continue
            self._aged[MESSAGES] += gone.messages
            self._aged[CLIENTS] += gone.clients
            if gone.clients:
                self.changed.set()
            gevent.sleep(AGE_PERIOD if gone.is_all else 0)
