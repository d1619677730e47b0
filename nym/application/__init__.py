"""The library for programs beside a client (docs/library.md). `import nym` gives what is public.

It runs in other people's programs, so it imports Python's standard library, its own modules and
nothing else: no other room of this house, and no package. `core` knows what a program can ask,
`line` speaks with the client over a `backend`, of which there are two: `blocking` and `aio`.
"""

from nym.application.blocking import Connection, connect
from nym.application.errors import (
    AccessError,
    BadRecipientError,
    BadRequestError,
    BusyError,
    ClosedError,
    ContactsError,
    DeliveryError,
    Error,
    IncompleteError,
    NoAnswersError,
    NoNetworkError,
    NoReplyAddressError,
    NoSuchMessageError,
    NoSuchTagError,
    NotRunningError,
    ProtocolError,
    RefusedError,
    StorageError,
    TooLongError,
    UnknownOutcomeError,
    UnknownRequestError,
)
from nym.application.files import File
from nym.application.values import Contact, Message, Progress, Status, WaitingMessage

__all__ = [
    "AccessError",
    "BadRecipientError",
    "BadRequestError",
    "BusyError",
    "ClosedError",
    "Connection",
    "Contact",
    "ContactsError",
    "DeliveryError",
    "Error",
    "File",
    "IncompleteError",
    "Message",
    "NoAnswersError",
    "NoNetworkError",
    "NoReplyAddressError",
    "NoSuchMessageError",
    "NoSuchTagError",
    "NotRunningError",
    "Progress",
    "ProtocolError",
    "RefusedError",
    "Status",
    "StorageError",
    "TooLongError",
    "UnknownOutcomeError",
    "UnknownRequestError",
    "WaitingMessage",
    "connect",
]
