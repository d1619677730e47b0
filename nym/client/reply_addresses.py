"""The client's reply addresses: extra addresses, one for each correspondent who may answer.

A fixed number of them is registered at the provider, used or not (docs/protocol/replies.md). Each
is replaced at a time that was drawn when it was made. So when addresses are registered, and how
many, doesn't depend on what applications do: neither the provider nor those who read the
directory's list learn whether they are used.

When an address ends, its private key is destroyed, and nobody can open what was sent to it.
"""

import logging
import os
import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from nym._secrets import Secret, derive
from nym.client.others import is_same_provider
from nym.client.registration import Registration
from nym.client.reply_address import ReplyAddress
from nym.client.session import ProviderSession
from nym.envelope import ReplyHead
from nym.errors import NoAnswersError, NoReplyAddressError, RemoteError
from nym.store.journal import Journal
from nym.timing import Backoff, duration
from nym.topology import Topology
from nym.wire.reports import ReplyAddressesReport

# Seconds until an address is registered, so that the list of the directory doesn't tie it to the
# client's other ones.
SOONEST, LATEST = 600.0, 4 * 3600.0
LONGER = 1.5  # an address lasts for client.reply_lifetime seconds, or up to so many times as long
LEAST_LEFT = 0.25  # of client.reply_lifetime, that must be left for an answer to a new message
MOST_ELSEWHERE = 4  # at providers that the client has left
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0

_KIND = "reply address"

log = logging.getLogger(__name__)


class Term(NamedTuple):
    """How many reply addresses there are, for how many seconds, and whether all begin at once."""

    addresses: int
    lifetime: float
    is_at_once: bool


class ReplyAddresses:
    """The reply addresses of one client. They outlast the process.

    `now` reads the client's lasting clock. `gone` is called with each address that has ended.
    """

    def __init__(
        self,
        journal: Journal,
        private_key: Secret,
        session: ProviderSession,
        now: Callable[[], float],
        term: Term,
        random: Random,
        gone: Callable[[bytes], None],
    ) -> None:
        self._journal = journal
        self._key = derive(private_key, b"nym reply keys")
        self._session = session
        self._now = now
        self._term = term
        self._random = random
        self._gone = gone
        self._topology: Topology | None = None
        self._backoff = Backoff(FIRST_RETRY, LONGEST_RETRY, random)
        self._next_attempt = 0.0
        self._all: dict[bytes, ReplyAddress] = {}
        self._entries: dict[bytes, str] = {}  # their ids on disk, which don't show the addresses
        for entry, body in journal.take_short(_KIND):
            one = ReplyAddress.decode(body, self._key)
            self._all[one.address], self._entries[one.address] = one, entry

    def look(self) -> None:
        """Make, register and destroy addresses, whatever is due."""
        now = self._now()
        for one in list(self._all.values()):
            if one.ends <= now:
                self._destroy(one)
        # Those at a provider that was left stay until their end, used or not: that provider would
        # see in the missing pulls which ones nobody was told of.
        # A client that changes its provider again and again must not collect addresses for ever.
        elsewhere = sorted(self.elsewhere(), key=lambda one: one.ends)
        for one in elsewhere[:-MOST_ELSEWHERE]:
            self._destroy(one)
        current = [one for one in self._all.values() if self._is_usual(one)]
        for _ in range(self._term.addresses - len(current)):
            self._keep(self._drawn(now))
        for one in list(self._all.values()):
            self._register(one, now)

    def follow(self, topology: Topology) -> None:
        """Take over the providers' records in a new topology."""
        before, self._topology = self._topology, topology
        for one in self._all.values():
            if one.registration and (node := topology.record_of(one.registration.node, before)):
                one.registration.follow(node)

    def get(self, address: bytes) -> ReplyAddress | None:
        """The reply address with this public key, which has not ended; None if there is none."""
        return self._all.get(address)

    def ready(self) -> list[ReplyAddress]:
        """Those that are registered at the provider that the client uses."""
        return [one for one in self._all.values() if self._is_ready(one)]

    def is_ready(self, address: bytes) -> bool:
        """Whether it is registered at the provider that the client uses."""
        one = self._all.get(address)
        return one is not None and self._is_ready(one)

    def elsewhere(self) -> list[ReplyAddress]:
        """Those that are registered at a provider that the client has left, while they last."""
        return [one for one in self._all.values() if not self._is_usual(one)]

    def give(self, correspondent: bytes) -> ReplyAddress:
        """The address for this correspondent: one that it knows, or one that nobody knows yet.

        Raises NoReplyAddressError, NoAnswersError.
        """
        lasting = [one for one in self.ready() if self._left(one) > 0]
        known = [one for one in lasting if one.given == correspondent]
        free = [one for one in lasting if not one.given]
        if not known + free:
            if not self._term.addresses:
                raise NoAnswersError
            raise NoReplyAddressError(self._why_none())
        one = max(known or free, key=lambda one: one.ends)
        if not one.given:
            one.given = correspondent
            one.told = round((time.time() + one.ends - self._now()) * 1000)
            self._keep(one)
        return one

    def correspondents(self) -> list[bytes]:
        """Those to whom an address was given that has not ended, each once."""
        return list(dict.fromkeys(one.given for one in self._all.values() if one.given))

    def head(self, one: ReplyAddress) -> ReplyHead:
        """What a message says about an address that was given."""
        if one.registration is None:
            raise AssertionError("only registered addresses are given")
        node = one.registration.node
        return ReplyHead(one.told, node.identity or node.public_key, one.secret)

    def report(self) -> ReplyAddressesReport:
        """What `status` says about them."""
        ready = self.ready()
        free = sum(not one.given and self._left(one) > 0 for one in ready)
        return ReplyAddressesReport(registered=len(ready), free=free)

    def _left(self, one: ReplyAddress) -> float:
        """Seconds for which the address may still be given to somebody."""
        return one.ends - self._now() - LEAST_LEFT * self._term.lifetime

    def _why_none(self) -> str:
        now = self._now()
        begins = [one.begins for one in self._all.values() if not one.is_registered]
        # One that was given, or ends soon, is followed by another, some time after its end.
        begins += [one.ends + (0 if self._term.is_at_once else LATEST) for one in self.ready()]
        wait = max(0.0, min(begins, default=now) - now)
        when = f"in {duration(wait)} at the latest" if wait else "soon"
        return (
            f"no address for an answer is free; the next one will be {when}. Each serves one "
            "correspondent for some days; client.reply_addresses has how many there are"
        )

    def _is_ready(self, one: ReplyAddress) -> bool:
        return one.is_registered and self._is_usual(one)

    def _is_usual(self, one: ReplyAddress) -> bool:
        """Whether it isn't registered yet, or at the provider that the client uses."""
        provider = self._session.provider
        if one.registration is None or provider is None:
            return True
        return is_same_provider(one.registration.node, provider)

    def _drawn(self, now: float) -> ReplyAddress:
        uniform = self._random.uniform
        begins = now if self._term.is_at_once else now + uniform(SOONEST, LATEST)
        return ReplyAddress.drawn(begins, begins + self._term.lifetime * uniform(1.0, LONGER))

    def _register(self, one: ReplyAddress, now: float) -> None:
        if one.is_registered or now < one.begins or not self._session.can_pull:
            return
        if self._session.provider is None or time.monotonic() < self._next_attempt:
            return
        # Set first, so that the pause is kept if this attempt raises.
        self._next_attempt = time.monotonic() + self._backoff.wait()
        registration = one.registration or Registration(one.identity, self._session.provider)
        try:
            registration.register()
        except RemoteError as error:
            log.debug("a reply address could not be registered: %s", error)
            return
        self._backoff.reset()
        self._next_attempt = 0.0
        if one.address in self._all:  # registering takes time
            one.registration = registration
            self._keep(one)

    def _keep(self, one: ReplyAddress) -> None:
        entry = self._entries.setdefault(one.address, os.urandom(8).hex())
        self._journal.put(_KIND, entry, one.encode(self._key))
        self._all[one.address] = one

    def _destroy(self, one: ReplyAddress) -> None:
        self._journal.erase(_KIND, self._entries[one.address])
        del self._all[one.address], self._entries[one.address]
        self._gone(one.address)
