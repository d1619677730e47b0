"""Registers at the provider, then pulls in a fixed rhythm, whatever the pulls bring.

More messages may come in than the client pulls. Then it logs how many wait, and keeps its rhythm.
If the rhythm followed what waits, anyone who sends to this client could see in it when others do.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from math import inf
from random import Random

from gevent.lock import RLock

from nym.backlog import Backlog, describe
from nym.client.own_addresses import OwnAddresses
from nym.client.receiver import Receiver
from nym.client.registration import Delivered, Registration
from nym.client.session import ProviderSession
from nym.client.settling import Settling
from nym.client.trial import ProviderTrial
from nym.errors import RemoteError, StoreError
from nym.health import PROVIDER_SUSPECT, Health
from nym.net.watch import Outage, run_schedule
from nym.onlookers import Onlookers
from nym.timing import Backoff, Fixed
from nym.wire.addresses import NodeAddress
from nym.wire.keys import encode_base58
from nym.wire.provider import Pulled

FIRST_RETRY = 0.5
LONGEST_RETRY = 10.0
OTHERS = 10  # periods between pulls from other providers
LAST_PULL = 3.0  # seconds that a pull may go on while the client stops
# Between pulls that succeed, in seconds, or in periods if they are longer. After that, the provider
# counts as away.
LONGEST_GAP = 5.0
QUIET = 60.0  # seconds without a backlog until the log says that it is over

log = logging.getLogger(__name__)


class Notices:
    """Logs once when a problem begins, and once when it ends.

    The problems are a backlog, a network that carries no packets, and a provider that seems to
    choose what it drops.
    """

    def __init__(self, backlog: Backlog, health: Health) -> None:
        self._backlog = backlog
        self._health = health
        self._loops = health.loops
        self._is_provider_suspect = False
        self._behind_at: float | None = None  # when there was a backlog last, until that is over
        self._is_dead = False

    def look(self, now: float) -> None:
        """Log what has changed. Called once in each turn of the client's addresses."""
        self._look_at_backlog(now)
        if self._loops.is_dead and not self._is_dead:
            log.warning(
                "network: no loop comes back: packets are lost on the way; anonymous and plain "
                "messages wait"
            )
        elif self._is_dead and not self._loops.is_dead:
            log.info("network: packets come through again")
        self._is_dead = self._loops.is_dead
        self._look_at_provider(now)

    def _look_at_provider(self, now: float) -> None:
        is_suspect = self._health.is_provider_suspect(now)
        if is_suspect and not self._is_provider_suspect:
            log.warning("%s", PROVIDER_SUSPECT)
        elif self._is_provider_suspect and not is_suspect:
            log.info("provider: no longer suspected of dropping packets")
        self._is_provider_suspect = is_suspect

    def _look_at_backlog(self, now: float) -> None:
        report = self._backlog.report(now)
        if report is not None:
            if self._behind_at is None:
                log.warning("backlog: %s", describe(report))
            self._behind_at = now
        elif self._behind_at is not None and now - self._behind_at > QUIET:
            log.info("backlog: everything that waited at the provider has arrived")
            self._behind_at = None


class Poller:
    """Brings what waits at the provider to the receiver: every `period` seconds for one address.

    A published provider deletes what it hands over, so a message that can't be stored would be
    lost. From there, nothing more is pulled while the messages of the last pull are not on disk, or
    the disk has no room. A sealed line keeps its rhythm: meanwhile, what it brings isn't taken, and
    comes again.
    """

    def __init__(
        self,
        session: ProviderSession,
        own: OwnAddresses,
        receiver: Receiver,
        settling: Settling,
        health: Health,
        trial: ProviderTrial,
        onlookers: Onlookers,
        period: float,
        random: Random,
    ) -> None:
        self._session = session
        self._own = own
        self._receiver = receiver
        self._settling = settling
        self._health = health
        self._trial = trial
        self._onlookers = onlookers
        self._period = period
        self._random = random
        self._backoff = Backoff(FIRST_RETRY, LONGEST_RETRY, random)
        self._next_registration = 0.0
        self.backlog = Backlog(health.loops, period)
        self.outage = Outage(log, "provider")
        self.served_at = -inf  # when the last successful pull began
        self.served_since = -inf  # when the first of all successful pulls without a gap began
        self._notices = Notices(self.backlog, health)
        # Held from the beginning of a pull until what it brought is taken and, if no provider keeps
        # it, on disk; `stop` waits for that.
        self._turn, self._others_turn = RLock(), RLock()

    def run(self) -> None:
        """Register once there is a provider, then pull for ever."""
        self._session.found.wait()
        # The time of the first pull is a draw of its own, as that of the first packet is. If one
        # followed from another, whoever sees one of them could tell which of many clients it is.
        run_schedule(self._rhythm(), self.tick, lambda: self._session.can_pull)
        run_schedule(self._rhythm(), self.tick)

    def run_others(self) -> None:
        """Pull from the other providers, more rarely, for ever."""
        run_schedule(Fixed(OTHERS * self._period, time.monotonic()), self.tick_others)

    def is_served(self, now: float) -> bool:
        """Whether pulls succeed at present."""
        return now - self.served_at <= LONGEST_GAP * max(1.0, self._period)

    def stop(self) -> None:
        """Begin no more pulls, and wait for those under way, for a limited time.

        A published provider has already deleted the messages that a pull under way brings.
        """
        for turn in (self._turn, self._others_turn):
            turn.acquire(timeout=LAST_PULL)

    def tick(self) -> None:
        """Pull once, or try once to register."""
        now = time.monotonic()
        if not (self.is_served(now) and self._session.can_pull):
            self._health.loops.unserved(self.served_at)
        try:
            if self._session.can_pull:
                self._pull_next(now)
            elif now >= self._next_registration:
                self._register()
        except RemoteError as error:
            self._health.loops.unserved(self.served_at)
            self.outage.begins(error)
        except StoreError:
            return  # Settling has it, for the status

    def tick_others(self) -> None:
        """Pull once from each other provider that is in the directory."""
        others = [(b"", registration) for registration in self._session.others()]
        for own, registration in [*others, *self._own.elsewhere()]:
            try:
                self._pull_other(own, registration)
            except (RemoteError, StoreError) as error:
                name = encode_base58(registration.node.public_key)
                log.debug("other provider %s: %s", name, error)

    def _rhythm(self) -> Fixed:
        return Fixed(self._period, time.monotonic() + self._random.uniform(0.0, self._period))

    def _register(self) -> None:
        # Set first, so that the pause is kept if this attempt raises.
        self._next_registration = time.monotonic() + self._backoff.wait()
        self._session.register()
        self.outage.ends()

    def _pull_next(self, now: float) -> None:
        """Pull for the address whose turn it is."""
        own = self._own.turn()
        registration = self._own.registration(own)
        if registration is None:
            self._pull(now, b"", self._session.pull)
            return
        try:
            self._pull(now, own, registration.pull)
        except RemoteError as error:
            # The main address is asked for at the same provider, and shows whether it works.
            log.debug("a reply address: %s", error)
            self.forsake(own)

    def forsake(self, own: bytes) -> None:
        """Note that a reply address has ended, or can't be pulled for."""
        self._health.loops.disregard(own, time.monotonic())
        self.backlog.forsaken(own)

    def _pull(self, now: float, own: bytes, pull: Callable[[Delivered], Pulled]) -> None:
        place, is_sealed = self._session.place, self._session.is_sealed
        with self._turn:
            pulled, new = self._bring(pull, own, place, is_other=False, is_sealed=is_sealed)
        self.outage.ends()
        self._backoff.reset()
        if not self.is_served(now):  # judged by the pull before this one
            self.served_since = now
        self.served_at = now
        # After `take`: loops must know what came back before they count others as lost.
        is_drained = pulled.is_drained
        self._health.loops.pulled(now, is_drained=is_drained, own=own)
        self.backlog.pulled(new, now, is_drained=is_drained, own=own)
        if not own:  # the end of a turn of all addresses
            self._notices.look(now)
            self._trial.look(now)

    def _pull_other(self, own: bytes, registration: Registration) -> None:
        if not registration.is_complete:
            registration.register()
            self._session.remember()
        now = time.monotonic()
        place, is_sealed = registration.node.client_address, registration.is_sealed
        with self._others_turn:
            pull = registration.pull
            pulled, _ = self._bring(pull, own, place, is_other=True, is_sealed=is_sealed)
        self._trial.pulled(registration, now, is_drained=pulled.is_drained)

    def _bring(
        self,
        pull: Callable[[Delivered], Pulled],
        own: bytes,
        place: NodeAddress,
        *,
        is_other: bool,
        is_sealed: bool,
    ) -> tuple[Pulled, int]:
        """Pull, and take what that brings; return it, and how many messages had waited and are new.

        Raises RemoteError, and StoreError if nothing is taken because of the disk.
        """
        if not is_sealed:
            self._settling.settle()
        try:
            pulled = self._onlookers.pulling(
                partial(pull, partial(self._receiver.taken.numbers, own=own)),
                place,
                is_other=is_other,
                is_sealed=is_sealed,
            )
            if pulled.keeper is not None and self._settling.problem is not None:
                raise StoreError(self._settling.problem)
            new = self._receiver.take(pulled, own)
        finally:
            # The main address is the last one of each turn.
            self._settling.settle_soon(has_turned=not own and not is_other)
        if pulled.keeper is None:
            self._receiver.settle()
        return pulled, new
