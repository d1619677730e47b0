"""The requests of local applications, in one form for all dialects.

Dialects translate bytes to these values, and the answers (nym.wire.answers) to bytes; nym.service
answers the requests.
"""

from typing import NamedTuple

from nym.wire.pieces import Message
from nym.wire.recipients import Recipient

MOST_OFFERED = 100  # messages that one subscriber can have without having acknowledged them


class Send(NamedTuple):
    """Send `message` to `recipient`, an address of 32 bytes, at its `provider`, if that is named.

    `is_plain`: as the published client does. `is_reliable`: again, until it is acknowledged. None
    leaves the choice to the contacts and the settings. `is_in_parts`: the message is what came in
    parts before. `is_answerable`: it carries an address for an answer, and not the client's own.
    """

    recipient: bytes
    message: Message
    is_plain: bool | None = None
    is_reliable: bool | None = None
    provider: bytes | None = None
    is_in_parts: bool = False
    is_answerable: bool = False


class Reply(NamedTuple):
    """Answer the messages that came with `tag`, 16 bytes. The rest is as in Send."""

    tag: bytes
    message: Message
    is_reliable: bool | None = None
    is_in_parts: bool = False
    is_answerable: bool = False


class Part(NamedTuple):
    """Keep this part of a message for the next send on the same connection."""

    part: Message


class Fetch(NamedTuple):
    """Hand over received messages, as many as an answer has room for."""


class Clients(NamedTuple):
    """List the clients that the directory lists."""


class Details(NamedTuple):
    """Report the client's own address and its provider, and perhaps a QR code of the address."""

    has_code: bool = False


class Contacts(NamedTuple):
    """List the user's contacts."""


class AddContact(NamedTuple):
    """Give this recipient a name among the user's contacts. Only the client's own page may."""

    name: str
    recipient: Recipient


class RenameContact(NamedTuple):
    """Give one of the user's contacts another name. Only the client's own page may."""

    name: str
    new_name: str


class RemoveContact(NamedTuple):
    """Remove one of the user's contacts. Only the client's own page may."""

    name: str


class Correspondents(NamedTuple):
    """List with whom there are conversations without an address. Only the own page may ask."""


class Flush(NamedTuple):
    """Write the answers that were held back (framed dialect)."""


class Status(NamedTuple):
    """Report the state of the client, and from then on `every` so many seconds; 0: only once."""

    every: float = 0.0


class History(NamedTuple):
    """Report what was counted over time."""


class Loops(NamedTuple):
    """Report what loops show."""


class Network(NamedTuple):
    """List the nodes that the client uses."""


class Subscribe(NamedTuple):
    """Hand over each message as it comes, up to `window` of them without acknowledgement.

    Without `follows`, the subscriber is told when no more messages wait.

    If it `is_shared`, messages are only shown: others get them as well, there is no window, and the
    subscriber is told when one has left.
    """

    window: int = MOST_OFFERED
    follows: bool = True
    is_shared: bool = False


class Read(NamedTuple):
    """Show the message with this id, which stays in the inbox."""

    id: str


class Observe(NamedTuple):
    """Tell each packet that leaves the client, and each pull (control socket only)."""


class Page(NamedTuple):
    """Tell the link to the client's page, with its token (control socket only)."""


class Acknowledge(NamedTuple):
    """Remove the message with this id from the inbox: the application has taken care of it."""

    id: str


class Progress(NamedTuple):
    """Report how far the message with this id has come."""

    id: str


class Waiting(NamedTuple):
    """List the messages that wait to be sent, from the one after number `after` on."""

    after: int = 0


class Cancel(NamedTuple):
    """Cancel the message with this id."""

    id: str


class CancelAll(NamedTuple):
    """Cancel all messages that wait, or those to one `recipient`: an address, or a tag."""

    recipient: bytes | None = None


Request = (
    Send
    | Reply
    | Part
    | Fetch
    | Clients
    | Details
    | Contacts
    | AddContact
    | RenameContact
    | RemoveContact
    | Correspondents
    | Flush
    | Status
    | History
    | Loops
    | Network
    | Subscribe
    | Read
    | Observe
    | Page
    | Acknowledge
    | Progress
    | Waiting
    | Cancel
    | CancelAll
)
