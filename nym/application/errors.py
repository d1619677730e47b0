"""What can go wrong for a program that uses the library. Texts of errors are for people.

The errors with which a client refuses a request have the `code` of its JSON
(docs/protocol/sockets.md), and a class for each code.
"""

from typing import ClassVar


class Error(Exception):
    """The base of all errors of this library."""


class NotRunningError(Error):
    """There is no such client, it doesn't run, or it doesn't answer. Nothing was done."""


class ClosedError(Error):
    """The connection was closed by this program."""


class ProtocolError(Error):
    """What listens there is no client, or its `websocket`; or one of another version."""


class UnknownOutcomeError(Error):
    """The connection broke before the answer came: nobody knows whether the client did it."""


class DeliveryError(Error):
    """A message was given up (`state` is "failed") or taken back ("cancelled")."""

    def __init__(self, message_id: str, state: str) -> None:
        super().__init__(message_id, state)  # so that it can be copied, as between processes
        self.id = message_id
        self.state = state

    def __str__(self) -> str:
        what = "was taken back" if self.state == "cancelled" else "could not be delivered"
        return f"the message {self.id} {what}"


class RefusedError(Error):
    """The client refused a request, for the reason in the text. `code` is a word for programs."""

    code: str = ""
    # The codes whose class this is.
    kinds: ClassVar[dict[str, type["RefusedError"]]] = {}

    def __init_subclass__(cls) -> None:
        RefusedError.kinds[cls.code] = cls


class AccessError(RefusedError):
    """The token is missing or wrong, or the client belongs to another user."""

    code = "access"


class BadRecipientError(RefusedError):
    """No client can have this address."""

    code = "bad_recipient"


class BadRequestError(RefusedError):
    """The client could not read the request."""

    code = "bad_request"


class BusyError(RefusedError):
    """The outbox is full: try again later. Or the client has too many connections."""

    code = "busy"


class ContactsError(RefusedError):
    """No contact has this name, or contacts.toml is broken."""

    code = "contacts"


class IncompleteError(RefusedError):
    """A part of the request is missing or wrong, such as a reliable message that is plain, too."""

    code = "incomplete"


class NoAnswersError(RefusedError):
    """The client has no addresses for answers, and makes none: its settings say so."""

    code = "no_answers"


class NoNetworkError(RefusedError):
    """The client doesn't know a network yet."""

    code = "no_network"


class NoReplyAddressError(RefusedError):
    """No address for an answer is free: the text says when the next one will be."""

    code = "no_reply_address"


class NoSuchTagError(RefusedError):
    """The tag is unknown, or one of the two addresses has expired.

    If it is this client's own one, `anonymous_reply=True` answers from another: the text says so.
    """

    code = "no_such_tag"


class NoSuchMessageError(RefusedError):
    """No message with this id waits."""

    code = "no_such_message"


class StorageError(RefusedError):
    """The client's disk is full, or fails."""

    code = "storage"


class TooLongError(RefusedError):
    """The message has more than 16 MiB, or more than 975 bytes if it is plain."""

    code = "too_long"


class UnknownRequestError(RefusedError):
    """The client is of another version, and doesn't know this request."""

    code = "unknown_request"


def refusal(code: str, text: str) -> RefusedError:
    """The error with this code; one of a later client can have a code that has no class here."""
    error = RefusedError.kinds.get(code, RefusedError)(text)
    error.code = code
    return error
