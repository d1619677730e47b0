"""The composition root: builds all parts of a client, wires them, starts and stops them.

No part builds another one. If a part needs one that is built later, it gets a function.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random, SystemRandom

from nym.client.acknowledgements import Acknowledgements
from nym.client.assembly import Assembly
from nym.client.cover import DropCover, LoopCover
from nym.client.deliveries import Deliveries
from nym.client.delivery import Way
from nym.client.figures import figures
from nym.client.judging import Judging
from nym.client.kept_lists import KeptLists
from nym.client.named import NamedProviders
from nym.client.notes import ProviderNotes
from nym.client.outgoing import OutgoingQueue
from nym.client.overview import Overview
from nym.client.own_addresses import OwnAddresses
from nym.client.pace import first_wait, loop_patience, packet_rate, pull_period
from nym.client.packets import PacketMaker
from nym.client.poller import Poller
from nym.client.receiver import Receiver
from nym.client.refresher import Refresher
from nym.client.remembered import RememberedNetwork
from nym.client.replies import Replies
from nym.client.reply_addresses import ReplyAddresses, Term
from nym.client.sender import Sender
from nym.client.session import ProviderSession
from nym.client.settling import Settling
from nym.client.tags import Tags
from nym.client.taken import Taken
from nym.client.tempo import Tempo
from nym.client.trial import ProviderTrial
from nym.config import Config, TrafficSettings
from nym.contacts import CurrentContacts
from nym.envelope import Envelopes
from nym.health import Health
from nym.identity import Identity
from nym.loops import Loops
from nym.net.alarm import Alarm
from nym.net.directories import Directories
from nym.net.threads import beside_the_hub
from nym.net.trust import Trust
from nym.net.watch import Watch
from nym.onlookers import Onlookers
from nym.service import Service
from nym.sockets import CONTROL_SOCKET
from nym.sockets.control import ControlSocket
from nym.sockets.local import ApplicationSocket
from nym.sockets.token import Token, load_token
from nym.store.clock import LastingClock
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.outbox import Manner, Outbox
from nym.store.state import State
from nym.topology import ProviderNode, Topology
from nym.whereabouts import Whereabouts
from nym.wire.addresses import UNIX
from nym.wire.keys import decode_base58
from nym.wire.metrics import Family
from nym.wire.sightings import Observing

PAGE_TOKEN = "page.token"  # noqa: S105 - the name of the file in the client's folder

log = logging.getLogger(__name__)


class Client:
    """One running client.

    `socket` is the kind of socket for applications, or None for no such socket. Everything that
    must survive the process is in `folder`. `revive` may start a directory where none answers (see
    Refresher). Raises StoreError, FolderInUseError, ConfigError.
    """

    def __init__(
        self,
        identity: Identity,
        config: Config,
        folder: Path,
        socket: type[ApplicationSocket] | None,
        contacts: CurrentContacts,
        revive: Callable[[], bool] | None = None,
    ) -> None:
        # The operating system's generator, because an observer must not be able to predict routes,
        # delays or gaps.
        random = SystemRandom()
        address = identity.public_key
        self._folder = folder
        # First, because a mistake may be in their files.
        token, page_token = _tokens(config, folder, socket)
        self._journal = Journal(folder, identity.private_key)
        state, inbox = State(self._journal), Inbox(self._journal, contacts)
        clock = LastingClock(state)
        # `_deliveries` is built later, since it needs the outbox.
        self._outbox = Outbox(
            self._journal, clock.now, lambda message: self._deliveries.explain(message)
        )
        self._health = health = Health(loop_patience(config.traffic))
        onlookers = _onlookers(config.traffic)
        self._sender = Sender(health, onlookers)
        self._session = _session(identity, config, state, self._has_line)
        self._judging = Judging(KeptLists(folder), resolve_names=config.client.resolve_names)
        self._refresher = _refresher(config, self._follow, state, random, revive, self._judging)
        self._trial = trial = ProviderTrial(self._session, health.loops, self._has_line, random)
        self._whereabouts = Whereabouts()
        named = NamedProviders(self._journal)
        tags = Tags(self._journal, time.time)
        self._reply_addresses = ReplyAddresses(
            self._journal,
            identity.private_key,
            self._session,
            clock.now,
            _term(config),
            random,
            self._forsake,
        )
        self._replies = replies = Replies(self._reply_addresses, tags)
        own = OwnAddresses(
            address, Envelopes(identity), self._session, self._reply_addresses, tags, random
        )
        packets = PacketMaker(
            own,
            tags,
            lambda: self._refresher.topology,
            self._whereabouts,
            named,
            self._session,
            health,
            config.traffic.average_packet_delay,
            random,
        )
        self._tempo = tempo = Tempo(packet_rate(config.traffic))
        is_sealed = config.privacy.seal
        self._loops = LoopCover(
            own,
            packets,
            self._sender,
            health,
            trial,
            tempo,
            config.traffic.loop_cover_traffic_average_delay,
            random,
            is_sealed=is_sealed,
        )
        drop_cover = DropCover(
            packets,
            self._sender,
            config.traffic.message_sending_average_delay,
            is_sealed=is_sealed,
        )
        self._acknowledgements = acknowledgements = _acknowledgements(address, config)
        self._deliveries = _deliveries(address, config, self._outbox, packets, health.loops)
        self._outgoing = OutgoingQueue(
            self._deliveries,
            acknowledgements,
            ProviderNotes(address, self._registered_at),
            packets,
            self._sender,
            drop_cover,
            tempo,
            config.traffic.message_sending_average_delay,
            random,
        )
        self._assembly = assembly = Assembly(
            self._journal, inbox, time.monotonic(), contacts, own.unpack
        )
        self._receiver = Receiver(
            own,
            inbox,
            assembly,
            acknowledgements,
            Taken(state),
            self._loop_returned,
            self._deliveries.acknowledged,
            named.learn,
        )
        self._receiver.accepts_plain = config.client.accept_plain
        self._settling = settling = Settling(self._receiver, self._journal.check_room)
        self._poller = _poller(
            self._session, own, self._receiver, settling, health, trial, onlookers, random
        )
        self._overview = overview = Overview(
            address,
            self._refresher,
            self._session,
            self._poller,
            settling,
            health,
            trial,
            assembly,
            self._receiver,
            self._outgoing,
            self._loops,
            drop_cover,
            self._outbox,
            inbox,
            tempo,
            self._reply_addresses,
        )

        def name_provider(recipient: bytes, provider: bytes | None) -> None:
            if provider := provider or contacts.provider_of(recipient):
                named.name(recipient, provider)

        def service(manner: Manner) -> Service:
            return Service(
                address,
                self._outbox,
                inbox,
                overview,
                self._deliveries,
                manner,
                contacts,
                replies,
                name_provider,
            )

        self._applications = service(_manner_of_applications(config))
        self._commands = service(_manner(config))
        self._socket = (
            socket(self._applications, config.socket, token, page_token) if socket else None
        )
        self._control = ControlSocket(
            self._commands,
            onlookers,
            self.page,
            folder / CONTROL_SOCKET,
            config.socket.connections,
        )
        self._alarm = Alarm()  # of both streams, and of what goes along with them
        self._watch = Watch(random)

    def listen(self) -> int | Path | None:
        """Open the sockets. Returns the port or path of the one for applications, or None.

        Raises ListenError.
        """
        place = self._socket.start() if self._socket else None
        # A directory could list this port as a mixnode's. The client must not connect to itself.
        if isinstance(place, int):
            self._judging.own_port = place
        self._control.start()
        return place

    def page(self) -> str | None:
        """The link to the page, with its token, once `listen` was called; None if there is none."""
        return self._socket.page() if self._socket else None

    def start(self) -> None:
        """Start everything that runs by itself. The streams begin after the first registration."""
        if self._outbox:
            log.info("messages waiting to be sent: %d", len(self._outbox))
        self._watch.start("topology refresher", self._refresher.run)
        self._watch.start("provider poller", self._poller.run)
        self._watch.start("other providers' poller", self._poller.run_others)
        self._watch.start("disk of what was pulled", self._settling.run)
        self._watch.start("look at messages", self._deliveries.run)
        self._watch.start("proofs of messages", self._deliveries.run_proofs)
        self._watch.start("reply addresses", partial(self._replies.run, self._alarm))
        self._watch.start("history", partial(self._overview.past.run, self._alarm))
        self._watch.start("tempo", self._tempo.run)
        self._watch.start("loop cover stream", self._after_registration(self._loops.run))
        self._watch.start("outgoing queue", self._after_registration(self._outgoing.run))

    def figures(self) -> list[Family]:
        """What Prometheus gets."""
        return figures(self._overview.report())

    def reload(self, config: Config) -> None:
        """Apply the settings that can change without a restart (nym.config.RELOADABLE).

        Those of the log are not applied here: the caller does that. Raises ConfigError if the file
        with the token can't be used. Then nothing has changed.
        """
        if self._socket:
            self._socket.reload(config.socket, *_tokens(config, self._folder, type(self._socket)))
        self._applications.manner = _manner_of_applications(config)
        self._commands.manner = _manner(config)
        self._session.patience = config.client.provider_patience
        self._deliveries.lifetime = config.client.message_lifetime
        self._receiver.accepts_plain = config.client.accept_plain

    def stop(self) -> None:
        """Stop everything. Messages that were accepted and not sent yet wait for the next start."""
        # First, applications can send no more.
        if self._socket:
            self._socket.stop()
        self._control.stop()
        # A published provider has deleted what a pull brings, so pulls end before greenlets are
        # killed.
        self._poller.stop()
        self._watch.stop()
        self._alarm.close()
        # The rest writes to the journal: the last network, and what became of the last packets.
        self._refresher.keep()
        self._sender.stop()
        self._journal.close()
        if self._outbox:
            log.info("messages waiting to be sent at the next start: %d", len(self._outbox))

    def _follow(self, topology: Topology) -> None:
        beside_the_hub(self._whereabouts.follow, topology, time.monotonic())
        self._session.follow(topology)
        self._reply_addresses.follow(topology)
        # The refresher ends an outage only after this. While the directory was away, nodes may have
        # been gone for long.
        was_unknown = self._refresher.outage.reason is not None
        self._health.follow(topology, self._session.provider, was_unknown=was_unknown)

    def _forsake(self, own: bytes) -> None:
        """Forget what belongs to a reply address that has ended."""
        self._poller.forsake(own)
        self._acknowledgements.forsake(own)
        self._assembly.forsake(own)

    def _loop_returned(self, name: bytes, now: float) -> None:
        self._trial.returned(name, now)
        self._deliveries.loop_returned()

    def _registered_at(self) -> ProviderNode | None:
        """The provider, if it keeps messages for this client: peers may be told of it."""
        return self._session.provider if self._session.can_pull else None

    def _has_line(self) -> bool:
        """Whether the client's own line works. If it doesn't, no provider is blamed."""
        return self._sender.is_online() and self._refresher.outage.reason is None

    def _after_registration(self, run: Callable[[Alarm], None]) -> Callable[[], None]:
        # Before that, the provider drops the client's loops, and so they would count as lost.
        def wait_and_run() -> None:
            self._session.registered.wait()
            run(self._alarm)

        return wait_and_run


def _tokens(
    config: Config, folder: Path, socket: type[ApplicationSocket] | None
) -> tuple[Token | None, Token | None]:
    """What applications have to show first, and what the page has to. Raises ConfigError."""
    if socket is None:
        return None, None
    name = config.socket.token_file
    token = load_token(folder / name) if name else None
    if not socket.has_page or config.socket.host.startswith(UNIX):
        return token, None
    where = f"{PAGE_TOKEN} in the client's folder has the token"
    return token, token or load_token(folder / PAGE_TOKEN, where)


def _manner(config: Config) -> Manner:
    if not config.privacy.seal:
        return Manner.PLAIN
    return Manner.RELIABLE if config.client.reliable else Manner.SEALED


def _manner_of_applications(config: Config) -> Manner:
    return Manner.PLAIN if config.socket.plain else _manner(config)


def _session(
    own: Identity, config: Config, state: State, has_line: Callable[[], bool]
) -> ProviderSession:
    key = config.client.provider
    preferred = decode_base58(key) if key else None
    return ProviderSession(own, preferred, config.client.provider_patience, state, has_line)


def _refresher(
    config: Config,
    follow: Callable[[Topology], None],
    state: State,
    random: Random,
    revive: Callable[[], bool] | None,
    judging: Judging,
) -> Refresher:
    client = config.client
    remembered = RememberedNetwork(state, client.directories, client.directory_keys)
    trust = Trust(client.directory_keys, remembered.newest)
    return Refresher(
        Directories(client.directories, trust),
        config.traffic.topology_refresh_rate,
        random,
        follow,
        revive,
        judging,
        remembered,
        client.layers,
    )


def _term(config: Config) -> Term:
    client = config.client
    # Without seals, nobody can answer, so the addresses would be for nothing.
    count = client.reply_addresses if config.privacy.seal else 0
    return Term(count, client.reply_lifetime, client.registers_at_once)


def _acknowledgements(address: bytes, config: Config) -> Acknowledgements:
    # Two mean gaps, so that several acknowledgements fit into one packet (docs/reliability.md).
    return Acknowledgements(address, 2 * config.traffic.message_sending_average_delay)


def _deliveries(
    address: bytes, config: Config, outbox: Outbox, packets: PacketMaker, loops: Loops
) -> Deliveries:
    def way() -> Way:
        if not config.privacy.seal:
            # Plain loops all look alike, so they don't tell what is lost. Messages must not wait
            # for something that will never be known.
            return Way(loss=0.0, open_since=loops.open_since)
        now = time.monotonic()
        outlook = loops.outlook(now)
        is_dead = outlook.is_dead or not loops.is_served
        was_carried = partial(loops.was_carried, now=now)
        return Way(outlook.loss, is_dead, was_carried, loops.open_since)

    wait = first_wait(config.traffic, 1 + _term(config).addresses)
    lifetime = config.client.message_lifetime
    return Deliveries(outbox, address, wait, packets.obstacle, way, lifetime)


def _onlookers(traffic: TrafficSettings) -> Onlookers:
    return Onlookers(Observing(1 / packet_rate(traffic), pull_period(traffic)))


def _poller(
    session: ProviderSession,
    own: OwnAddresses,
    receiver: Receiver,
    settling: Settling,
    health: Health,
    trial: ProviderTrial,
    onlookers: Onlookers,
    random: Random,
) -> Poller:
    period = onlookers.rates.pull_period
    return Poller(session, own, receiver, settling, health, trial, onlookers, period, random)
