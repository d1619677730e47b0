"""The composition root: builds every part of a client, wires them, starts and stops them."""

import logging
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom

from nym.client.cover import LoopCover
from nym.client.outgoing import OutgoingQueue
from nym.client.packets import PacketMaker
from nym.client.poller import Poller
from nym.client.refresher import Refresher
from nym.client.sender import Sender
from nym.client.session import ProviderSession
from nym.client.watch import Watch
from nym.config import Config
from nym.identity import Identity
from nym.service import Service, View
from nym.sockets.local import LocalSocket
from nym.store import Inbox, Outbox
from nym.wire.keys import decode_base58

log = logging.getLogger(__name__)


class Client:
    """One running client, with one kind of `socket`.

    `revive` may bring a directory up where nothing answers (Refresher).
    """

    def __init__(
        self,
        identity: Identity,
        config: Config,
        socket: type[LocalSocket],
        revive: Callable[[], bool] | None = None,
    ) -> None:
        # Keys, routes, delays and gaps: whatever an observer could gain from guessing.
        random = SystemRandom()
        traffic, address = config.traffic, identity.public_key
        preferred = decode_base58(config.client.provider) if config.client.provider else None

        self._outbox, inbox = Outbox(), Inbox()
        self._session = ProviderSession(address, preferred, config.client.provider_patience)
        self._refresher = Refresher(
            config.client.directory,
            traffic.topology_refresh_rate,
            random,
            self._session.follow,
            revive,
        )
        self._poller = Poller(self._session, inbox, traffic.fetch_message_delay, random)
        self._sender = Sender()
        packets = PacketMaker(
            address,
            lambda: self._refresher.topology,
            self._session,
            traffic.average_packet_delay,
            random,
        )
        self._cover = LoopCover(
            address, packets, self._sender, traffic.loop_cover_traffic_average_delay, random
        )
        self._outgoing = OutgoingQueue(
            self._outbox,
            packets,
            self._sender,
            self._cover,
            traffic.message_sending_average_delay,
            random,
        )
        service = Service(address, self._outbox, inbox, self._view)
        self._socket = socket(service, config.socket)
        self._watch = Watch(random)

    def listen(self) -> int | Path:
        """Open the socket for applications; returns its port, or path. Raises ListenError."""
        return self._socket.start()

    def start(self) -> None:
        """Start all that happens by itself; the two streams begin with the first registration."""
        self._watch.start("topology refresher", self._refresher.run)
        self._watch.start("provider poller", self._poller.run)
        self._watch.start("loop cover stream", self._after_registration(self._cover.run))
        self._watch.start("outgoing queue", self._after_registration(self._outgoing.run))

    def stop(self) -> None:
        """End everything; what was accepted and not sent yet is lost, and that is said."""
        self._socket.stop()
        self._watch.stop()
        self._sender.stop()
        if self._outbox:
            log.warning("%d messages were accepted and not sent; they are lost", len(self._outbox))

    def _view(self) -> View:
        session = self._session
        return View(self._refresher.topology, session.provider, session.registered.is_set())

    def _after_registration(self, run: Callable[[], None]) -> Callable[[], None]:
        def wait_and_run() -> None:
            self._session.registered.wait()
            run()

        return wait_and_run
