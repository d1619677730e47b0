"""A client for the Nym 0.4 mix network, a local network to run it on, and a library for programs.

The library is what `import nym` gives (docs/library.md). It is loaded when something of it is used,
because the client's own modules are in this package, too, and need none of it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nym.application import (
        AccessError,
        BadRecipientError,
        BadRequestError,
        BusyError,
        ClosedError,
        Connection,
        Contact,
        ContactsError,
        DeliveryError,
        Error,
        File,
        IncompleteError,
        Message,
        NoAnswersError,
        NoNetworkError,
        NoReplyAddressError,
        NoSuchMessageError,
        NoSuchTagError,
        NotRunningError,
        Progress,
        ProtocolError,
        RefusedError,
        Status,
        StorageError,
        TooLongError,
        UnknownOutcomeError,
        UnknownRequestError,
        WaitingMessage,
        connect,
    )

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

# The program's own version. It grows with what the program does, whatever the protocol is.
__version__ = "1.0.0"

# The mixnet version whose protocol it speaks. Nodes announce it, and the banner shows it.
PROTOCOL_VERSION = "0.4.0"

if not TYPE_CHECKING:  # or a misspelt name would have the type of this function's result

    def __getattr__(name: str) -> object:
        """What is public of the library."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from nym import application

        return getattr(application, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
