"""The composition root: builds every part of a client, wires them, starts and stops them."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom

from nym.client.acknowledgements import Acknowledgements
from nym.client.assembly import Assembly
from nym.client.cover import LoopCover
from nym.client.delivery import Delivery, Recipient, Reliable, Unacknowledged
from nym.client.outgoing import OutgoingQueue
from nym.client.overview import Overview
from nym.client.packets import PacketMaker
from nym.client.poller import Poller
from nym.client.receiver import Receiver
from nym.client.refresher import Refresher
from nym.client.sender import Sender
from nym.client.session import ProviderSession
from nym.config import Config, TrafficSettings
from nym.envelope import Envelopes
from nym.health import Health
from nym.identity import Identity
from nym.net.watch import Watch
from nym.service import Service
from nym.sockets import CONTROL_SOCKET
from nym.sockets.control import ControlSocket
from nym.sockets.local import ApplicationSocket
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.outbox import Manner, Outbox, Outgoing
from nym.store.state import State
from nym.topology import Topology
from nym.wire.keys import decode_base58
from nym.wire.provider import MESSAGES_A_PULL

log = logging.getLogger(__name__)


class Client:
    """One running client, with one kind of `socket` for applications, or none.

    What it has to remember is in `folder`.

    `revive` may bring a directory up where nothing answers (Refresher). Raises StoreError,
    FolderInUseError.
    """

    def __init__(
        self,
        identity: Identity,
        config: Config,
        folder: Path,
        socket: type[ApplicationSocket] | None,
        revive: Callable[[], bool] | None = None,
    ) -> None:
        # Keys, routes, delays and gaps: whatever an observer could gain from guessing.
        random = SystemRandom()
        traffic, address = config.traffic, identity.public_key
        preferred = decode_base58(config.client.provider) if config.client.provider else None
        self._health = health = Health(_loop_patience(traffic))
        envelopes = Envelopes(identity)

        self._journal = Journal(folder, identity.private_key)
        state = State(self._journal)
        self._outbox, inbox = Outbox(self._journal), Inbox(self._journal)
        self._sender = Sender(health)
        self._session = ProviderSession(
            address, preferred, config.client.provider_patience, state, self._sender.is_online
        )
        self._refresher = Refresher(
            config.client.directory_url,
            traffic.topology_refresh_rate,
            random,
            self._follow,
            revive,
            state,
        )
        packets = PacketMaker(
            address,
            lambda: self._refresher.topology,
            self._session,
            envelopes,
            health,
            traffic.average_packet_delay,
            random,
        )
        self._cover = LoopCover(
            address,
            packets,
            self._sender,
            health,
            traffic.loop_cover_traffic_average_delay,
            random,
            is_sealed=config.privacy.seal,
        )
        acknowledgements = Acknowledgements(address, 2 * traffic.message_sending_average_delay)

        def loss() -> float | None:
            # Plain loops, which all look alike, tell nothing, now or later.
            return health.loops.outlook(time.monotonic()).loss if config.privacy.seal else 0.0

        def begin(
            outgoing: Outgoing, progress: bytes, recipient: Recipient, now: float
        ) -> Delivery:
            if outgoing.manner is Manner.RELIABLE:
                wait = _first_wait(traffic)
                return Reliable(outgoing, progress, recipient, address, wait, now)
            return Unacknowledged(outgoing, progress, loss)

        self._outgoing = OutgoingQueue(
            self._outbox,
            acknowledgements,
            begin,
            packets,
            self._sender,
            self._cover,
            traffic.message_sending_average_delay,
            random,
        )
        self._assembly = Assembly(self._journal, inbox, time.monotonic())
        receiver = Receiver(
            envelopes,
            inbox,
            self._assembly,
            acknowledgements,
            health,
            self._outgoing.acknowledged,
        )
        self._poller = Poller(
            self._session,
            receiver,
            self._journal.check_room,
            health,
            pull_period(traffic),
            random,
        )
        view = Overview(
            address,
            self._refresher,
            self._session,
            self._poller,
            health,
            self._assembly,
            self._outgoing,
            self._cover,
            self._outbox,
            inbox,
        )
        self._service = Service(
            address, self._outbox, inbox, view, self._outgoing.progress, _manner(config)
        )
        self._socket = socket(self._service, config.socket) if socket else None
        self._control = ControlSocket(
            self._service, folder / CONTROL_SOCKET, config.socket.connections
        )
        self._watch = Watch(random)

    def listen(self) -> int | Path | None:
        """Open the sockets; returns the port, or path, of the one for applications, if any.

        Raises ListenError.
        """
        place = self._socket.start() if self._socket else None
        self._control.start()
        return place

    def start(self) -> None:
        """Start all that happens by itself; the two streams begin with the first registration."""
        if self._outbox:
            log.info("messages that wait to be sent: %d", len(self._outbox))
        self._watch.start("topology refresher", self._refresher.run)
        self._watch.start("provider poller", self._poller.run)
        self._watch.start("other providers' poller", self._poller.run_others)
        self._watch.start("loop cover stream", self._after_registration(self._cover.run))
        self._watch.start("outgoing queue", self._after_registration(self._outgoing.run))

    def reload(self, config: Config) -> None:
        """Take over the settings that can change without a restart (nym.config.RELOADABLE).

        The log's are the caller's business.
        """
        self._service.manner = _manner(config)
        self._session.patience = config.client.provider_patience
        if self._socket:
            self._socket.reload(config.socket)

    def stop(self) -> None:
        """End everything; what was accepted and not sent yet waits for the next start."""
        if self._socket:
            self._socket.stop()
        self._control.stop()
        self._poller.stop()
        self._watch.stop()
        self._refresher.keep()
        self._sender.stop()
        self._journal.close()
        if self._outbox:
            log.info("messages that wait for the next start to be sent: %d", len(self._outbox))

    def _follow(self, topology: Topology) -> None:
        self._session.follow(topology)
        was_unknown = self._refresher.outage.reason is not None
        self._health.follow(topology, self._session.provider, was_unknown=was_unknown)

    def _after_registration(self, run: Callable[[], None]) -> Callable[[], None]:
        def wait_and_run() -> None:
            self._session.registered.wait()
            run()

        return wait_and_run


def _manner(config: Config) -> Manner:
    if not config.privacy.seal:
        return Manner.PLAIN
    return Manner.RELIABLE if config.client.reliable else Manner.SEALED


def pull_period(traffic: TrafficSettings) -> float:
    """Seconds between pulls: as configured, or less where they would bring less than comes.

    What comes is at least one's own cover; there is room for a quarter more.
    """
    cover = 1 / traffic.message_sending_average_delay + 1 / traffic.loop_cover_traffic_average_delay
    longest = MESSAGES_A_PULL / (1.25 * cover)
    if traffic.fetch_message_delay <= longest:
        return traffic.fetch_message_delay
    log.warning(
        "at these rates %.1f loops come back in a second; pulls every %g s would bring fewer, so "
        "there is one every %.3f s",
        cover,
        traffic.fetch_message_delay,
        longest,
    )
    return longest


def _first_wait(traffic: TrafficSettings) -> float:
    """Seconds until an acknowledgement is missed: twice what one takes, at the same rates."""
    return (
        16 * traffic.message_sending_average_delay
        + 4 * traffic.fetch_message_delay
        + 20 * traffic.average_packet_delay
    )


def _loop_patience(traffic: TrafficSettings) -> float:
    """Seconds until a loop is missed: far more than delays and pulls take together."""
    return max(10.0, 20 * traffic.fetch_message_delay + 100 * traffic.average_packet_delay)
