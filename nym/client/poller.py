"""Registers at the provider, then pulls in a fixed rhythm, whatever the pulls bring."""

import logging
import time
from random import Random

from nym.client.session import ProviderSession
from nym.client.watch import Outage, run_schedule
from nym.errors import ProviderRefusedError, RemoteError
from nym.store import Inbox
from nym.timing import Backoff, Fixed
from nym.wire.provider import is_cover

FIRST_RETRY = 0.5
LONGEST_RETRY = 10.0

log = logging.getLogger(__name__)


class Poller:
    """Brings what waits at the provider into the inbox, every `period` seconds."""

    def __init__(
        self, session: ProviderSession, inbox: Inbox, period: float, random: Random
    ) -> None:
        self._session = session
        self._inbox = inbox
        self._period = period
        self._backoff = Backoff(FIRST_RETRY, LONGEST_RETRY, random)
        self._next_registration = 0.0
        self._outage = Outage(log, "provider")

    def run(self) -> None:
        """Pull for ever, from the moment there is a provider."""
        self._session.chosen.wait()
        run_schedule(Fixed(self._period, time.monotonic()), self.tick)

    def tick(self) -> None:
        """One pull, or one attempt to register."""
        try:
            if self._session.has_token:
                self._pull()
            elif time.monotonic() >= self._next_registration:
                self._register()
        except ProviderRefusedError as error:
            self._session.forget_token()
            self._outage.begins(error)
        except RemoteError as error:
            self._outage.begins(error)

    def _register(self) -> None:
        self._next_registration = time.monotonic() + self._backoff.wait()
        self._session.register()
        self._outage.ends()

    def _pull(self) -> None:
        messages = self._session.pull()
        self._outage.ends()
        self._backoff.reset()
        for message in messages:
            if not is_cover(message):
                self._inbox.deliver(message)
