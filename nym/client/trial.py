"""Leaves a provider that answers but loses nearly everything, if another one does better.

When no loop comes back, the client can't tell where loops are lost. So after `provider_patience`
seconds of that, while first hops take packets and the directory answers, it tries another provider:
it registers there, and sends a few of its loops there.

- If these come back, the mixnodes carry packets, and its own provider loses them. The client
  changes to the other provider.
- If they don't come back, the whole network may be dead, and a change would gain nothing. The
  client keeps its own provider, and tries yet another one.

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
from nym.wire.addresses import NodeAddress
from nym.wire.keys import encode_base58

# The share of loops that go to a provider on trial. The client pulls there at a tenth of its usual
# rate, and this share is half of what would fill those answers at most. So these loops build up no
# backlog there, behind which nothing would be known.
SHARE = 1 / 16

# The loss at which the client's own provider is doubted, and the loss up to which another one is
# accepted.
TOO_MUCH = 0.9
GOOD_ENOUGH = 0.5

# Seconds for which one provider is tried before the next.
LONGEST_TRIAL = 300.0

log = logging.getLogger(__name__)


class ProviderTrial:
    """Watches what the client's own provider loses, and tries others if it is nearly everything.

    `is_fair` returns whether the client's own line works. If it doesn't, no provider is blamed.
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
        self._tried: set[NodeAddress] = set()  # places of providers that did no better
        # The provider on trial, the loops that went there, and when the trial began.
        self._candidate: tuple[Registration, Loops, float] | None = None
        self._carried_since: float | None = None  # when the first of these loops came back
        self._has_said = False

    @property
    def reason(self) -> str | None:
        """Once other providers are tried: what is wrong with the own one, and what is done."""
        if not self._has_said:
            return None
        what = f"nearly nothing comes back from provider {_name(self._session.provider)}"
        if self._session.is_bound:
            return f"{what}; it is kept, because client.provider names it"
        if self._candidate is None:
            return f"{what}; it is kept, because the directory lists no other"
        return f"{what}; provider {_name(self._candidate[0].node)} is being tried"

    def turn(self) -> ProviderNode | None:
        """Return the provider for the next loop, or None if it goes to the client's own."""
        if self._candidate is None or self._random.random() >= SHARE:
            return None
        registration = self._candidate[0]
        # Until the client is registered there, that provider would drop the loop.
        return registration.node if registration.is_complete else None

    def sent(self, name: bytes, node: ProviderNode, now: float) -> None:
        """Note that a mixnode took a loop to this provider."""
        if self._candidate and is_same_provider(self._candidate[0].node, node):
            self._candidate[1].sent(name, (), now)

    def returned(self, name: bytes, now: float) -> None:
        """Note that a loop came back, from the client's own provider or from another one."""
        if self._loops.returned(name, now) or not self._candidate:
            return
        if self._candidate[1].returned(name, now) and self._carried_since is None:
            self._carried_since = now

    def pulled(self, registration: Registration, now: float, *, is_drained: bool) -> None:
        """Note that a pull from another provider succeeded."""
        if self._candidate and self._candidate[0] is registration:
            self._candidate[1].pulled(now, is_drained=is_drained)

    def look(self, now: float) -> None:
        """Judge the client's own provider. Called after each pull for the main address."""
        before, self._own = self._own, self._session.provider
        if not (before and self._own and is_same_provider(before, self._own)):
            self._end()  # the session has changed to another provider by itself
        if not (self._loops.loses(TOO_MUCH, now) and self._is_fair()):
            if self._has_said:
                log.info("provider %s no longer loses nearly everything", _name(self._own))
            self._end()
        elif self._losing_since is None:
            self._losing_since = now
        elif now - self._losing_since > self._session.patience:
            self._compare(now)

    def _compare(self, now: float) -> None:
        """Compare the own provider, which has lost nearly everything for long, with another."""
        if self._candidate and self._does_better(self._candidate[1], now):
            self._session.leave_for(self._candidate[0].node, "it loses nearly everything")
            self._loops.begin_anew()  # what the old provider lost says nothing about the new one
            self._end()
            return
        if self._candidate is None or now - self._candidate[2] > LONGEST_TRIAL:
            self._try_next(now)
        if not self._has_said:
            self._has_said = True
            log.warning("%s", self.reason)

    def _does_better(self, others: Loops, now: float) -> bool:
        """Whether the provider on trial does better, judged by loops that the mixnodes carried.

        Only loops that left after the first one came back from it are compared. Before that, the
        mixnodes themselves may have been down. When they work again, loops from the provider on
        trial may be back earlier than those from a busy provider, so earlier losses prove nothing.
        """
        if self._carried_since is None:
            return False
        theirs = others.loss_since(self._carried_since)
        own = self._loops.loss_since(self._carried_since)
        # If too few loops to the own provider are due, they may wait behind a backlog there, unless
        # that has lasted longer than any backlog takes.
        is_own_bad = self._loops.is_feigned(now) if own is None else own >= TOO_MUCH
        return theirs is not None and theirs <= GOOD_ENOUGH and is_own_bad

    def _try_next(self, now: float) -> None:
        if self._candidate:
            self._tried.add(self._candidate[0].node.client_address)
        registration = self._session.candidate(self._tried)
        if registration is None and self._tried:
            self._tried.clear()  # all were tried, so the first one gets another chance
            registration = self._session.candidate(self._tried)
        self._candidate = (registration, Loops(self._loops.patience), now) if registration else None
        self._carried_since = None

    def _end(self) -> None:
        self._losing_since = self._candidate = self._carried_since = None
        self._has_said = False
        self._tried.clear()


def _name(node: ProviderNode | None) -> str:
    return encode_base58(node.public_key) if node else ""
