"""What pulls from a provider, and what that works with, without the rest of a client."""

from random import Random

from nym.client.acknowledgements import Acknowledgements
from nym.client.assembly import Assembly
from nym.client.poller import Poller
from nym.client.receiver import Receiver
from nym.client.session import ProviderSession
from nym.client.settling import Settling
from nym.client.taken import Taken
from nym.client.trial import ProviderTrial
from nym.health import Health
from nym.identity import Identity
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.state import State
from tests.harness import Addresses, onlookers


class Pulling:
    """The poller of a client that is always online."""

    def __init__(
        self,
        session: ProviderSession,
        journal: Journal,
        own: Identity,
        inbox: Inbox | None = None,
        reply_addresses: int = 0,
    ) -> None:
        inbox = Inbox(journal) if inbox is None else inbox
        health = Health(20.0)
        trial = ProviderTrial(session, health.loops, lambda: True, Random(1))
        addresses = Addresses(journal, own, session, count=reply_addresses)
        self.replies, self.own = addresses.addresses, addresses.own
        self.receiver = Receiver(
            self.own,
            inbox,
            Assembly(journal, inbox, 0.0),
            Acknowledgements(own.public_key, 1.0),
            Taken(State(journal)),
            trial.returned,
            lambda *_: None,
            lambda _: None,
        )
        self.settling = Settling(self.receiver, journal.check_room)
        self.poller = Poller(
            *(session, self.own, self.receiver, self.settling, health, trial, onlookers()),
            *(0.4, Random(1)),
        )
