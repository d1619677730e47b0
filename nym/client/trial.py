"""Leaves a provider that answers, and loses nearly everything, for one that is shown to do better.

That no loop comes back doesn't say where they are lost. So after `provider_patience` seconds of it,
while first hops take packets and the directory answers, another provider is tried: the client
registers there, and a few of its loops go there. If they come back, the mixnodes carry packets, and
the loss is the own provider's: it is left. If they don't, the whole network may be dead, and
nothing is gained: the own provider is kept, and yet another one is tried.

A backlog is not loss (nym.loops): while loops may still wait at the provider, none counts as lost.
"""

import logging
from collections.abc import Callable
from random import Random

from nym.client.others import is_same_provider
from nym.client.registration import Registration
from nym.client.session import ProviderSession
from nym.loops import Loops
from nym.topology import ProviderNode
from nym.wire.keys import encode_base58

# The share of loops that go to a provider on trial. It is asked once where the own one is asked
# ten times, and gets half of what would fill its answers.
SHARE = 1 / 16

# The loss that is too much for the own provider, and the one that is good enough for another.
TOO_MUCH = 0.9
GOOD_ENOUGH = 0.5

# Seconds for which a provider is tried.
LONGEST_TRIAL = 300.0

log = logging.getLogger(__name__)


class ProviderTrial:
    """Watches what the own provider loses, and tries others where that is nearly everything.

    `is_fair` says whether the client's own line works: if it doesn't, no provider is blamed.
    """

    def __init__(
        self,
        session: ProviderSession,
        loops: Loops,
        is_fair: Callable[[], bool],
        random: Random,
    ) -> None:
        self._session = session
        self._loops = loops
        self._is_fair = is_fair
        self._random = random
        self._own = session.provider
        self._losing_since: float | None = None
        self._tried: set[bytes] = set()  # keys of those that did no better
        self._candidate: tuple[Registration, Loops, float] | None = None  # tried since then
        self._carried_since: float | None = None  # when the first of its loops came back
        self._has_said = False

    @property
    def reason(self) -> str | None:
        """What is wrong with the provider, and what follows, once others are tried."""
        if not self._has_said:
            return None
        what = f"nearly nothing comes back from provider {_name(self._session.provider)}"
        if self._session.is_bound:
            return f"{what}; it is kept, as client.provider names it"
        if self._candidate is None:
            return f"{what}; it is kept, as the directory has no other"
        return f"{what}; provider {_name(self._candidate[0].node)} is tried"

    def turn(self) -> ProviderNode | None:
        """The provider that the next loop goes to, instead of the own one."""
        if self._candidate is None or self._random.random() >= SHARE:
            return None
        registration = self._candidate[0]
        return registration.node if registration.token is not None else None

    def sent(self, name: bytes, node: ProviderNode, now: float) -> None:
        """A loop was taken that goes to this provider."""
        if self._candidate and self._candidate[0].node.public_key == node.public_key:
            self._candidate[1].sent(name, (), now)

    def returned(self, name: bytes, now: float) -> None:
        """A loop came, from the own provider or from another one."""
        if self._loops.returned(name, now) or not self._candidate:
            return
        if self._candidate[1].returned(name, now) and self._carried_since is None:
            self._carried_since = now

    def pulled(self, registration: Registration, now: float, *, is_drained: bool) -> None:
        """A pull at another provider succeeded."""
        if self._candidate and self._candidate[0] is registration:
            self._candidate[1].pulled(now, is_drained=is_drained)

    def look(self, now: float) -> None:
        """After each pull at the own provider."""
        before, self._own = self._own, self._session.provider
        if not (before and self._own and is_same_provider(before, self._own)):
            self._end()
        if not (self._loops.loses(TOO_MUCH, now) and self._is_fair()):
            if self._has_said:
                log.info("provider %s loses nearly everything no longer", _name(self._own))
            self._end()
        elif self._losing_since is None:
            self._losing_since = now
        elif now - self._losing_since > self._session.patience:
            self._compare(now)

    def _compare(self, now: float) -> None:
        """The own provider lost nearly everything for long."""
        if self._candidate and self._does_better(self._candidate[1], now):
            self._session.leave_for(self._candidate[0].node, "it loses nearly everything")
            self._loops.begin_anew()
            self._end()
            return
        if self._candidate is None or now - self._candidate[2] > LONGEST_TRIAL:
            self._try_next(now)
        if not self._has_said:
            self._has_said = True
            log.warning("%s", self.reason)

    def _does_better(self, others: Loops, now: float) -> bool:
        """Whether it does, of those loops that left when the mixnodes surely carried packets.

        When they do so again after an outage, its loops may be back before those of a busy
        provider: what was lost before that says nothing of either.
        """
        if self._carried_since is None:
            return False
        theirs = others.loss_since(self._carried_since)
        own = self._loops.loss_since(self._carried_since)
        is_own_bad = self._loops.is_feigned(now) if own is None else own >= TOO_MUCH
        return theirs is not None and theirs <= GOOD_ENOUGH and is_own_bad

    def _try_next(self, now: float) -> None:
        if self._candidate:
            self._tried.add(self._candidate[0].node.public_key)
        registration = self._session.candidate(self._tried)
        if registration is None and self._tried:
            self._tried.clear()  # from the beginning
            registration = self._session.candidate(self._tried)
        self._candidate = (registration, Loops(self._loops.patience), now) if registration else None
        self._carried_since = None

    def _end(self) -> None:
        self._losing_since = self._candidate = self._carried_since = None
        self._has_said = False
        self._tried.clear()


def _name(node: ProviderNode | None) -> str:
    return encode_base58(node.public_key) if node else ""
