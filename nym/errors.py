"""Every error that the program raises on purpose, in one tree.

An error's text is the sentence that the user reads: what happened, and what to do. Its class says
whose mistake it is (ours, the user's, the peer's) and with which code the program ends.
"""


class NymError(Exception):
    """The root; `exit_code` is the one of the program when nobody handles the error."""

    exit_code = 1


class UsageError(NymError):
    """The command line can't be understood."""

    exit_code = 2


class IdentityError(NymError):
    """The client's keys are missing, damaged, or already there."""

    exit_code = 5


class ConfigError(NymError):
    """A setting is unknown, or has a value that it can't have."""

    exit_code = 5


class ListenError(NymError):
    """A port can't be listened on."""


class NotRunningError(NymError):
    """The client that a command would talk to doesn't run, or went away."""

    exit_code = 3


class ContactError(NymError):
    """A name that no contact has, or that can't be given."""


class FolderInUseError(NymError):
    """Two clients can't share one folder."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"another nym-client runs with {folder}; stop that one first, or use another --id"
        )


class LockedError(NymError):
    """Another process changes the same files, and doesn't finish."""

    def __init__(self, folder: object, holder: str) -> None:
        super().__init__(
            f"{holder} holds the lock of {folder}, and nothing was changed here. Try again when it "
            "has ended, or end it"
        )


# What a local application asked for, and why it can't be had.


class RequestError(NymError):
    """A local request that is refused; the text goes to the application.

    `code` is a word for programs, where the dialect has room for one; `for_people` is what this
    program's commands say instead of the text, where that is fixed by the published client.
    """

    code = "bad_request"
    for_people = ""


class IncompleteDataError(RequestError):
    """A request that ends before it is complete."""

    code = "incomplete"

    def __init__(self, missing: str = "") -> None:
        super().__init__("IncompleteDataError" + (f": {missing}" if missing else ""))


class UnknownRequestError(RequestError):
    """A request of no known kind."""

    code = "unknown_request"

    def __init__(self, expected: str = "") -> None:
        super().__init__("UnknownRequestError" + (f": {expected}" if expected else ""))


class FrameError(RequestError):
    """A frame whose length can't be believed: where the next one begins can't be told."""


class HandshakeError(RequestError):
    """An HTTP request that opens no WebSocket; `status` is the answer's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class MessageTooLongError(RequestError):
    """A message that doesn't fit into one packet."""

    code = "too_long"

    def __init__(self, length: int, maximum: int) -> None:
        super().__init__(f"too long message. Sent {length} bytes while the maximum is {maximum}")


class BadRecipientError(RequestError):
    """An address that no client can have: a group element of low order has no private key."""

    code = "bad_recipient"

    def __init__(self) -> None:
        super().__init__("the recipient's address isn't valid: no client can have it")


class NoTopologyError(RequestError):
    """Nothing is known of the network yet, or no route can be made of what is known."""

    code = "no_network"
    for_people = "no network is known yet; nym-client check says what is missing"
    exit_code = 4

    def __init__(self) -> None:
        super().__init__("Invalid network topology")


class BusyError(RequestError):
    """The outbox is full, or there are too many connections."""

    code = "busy"


class ContactsError(RequestError):
    """contacts.toml is broken, so it isn't known how to send to this recipient."""

    code = "contacts"


class StoreError(RequestError):
    """What must last can't be written, or read: the disk is full, or fails."""

    code = "storage"


class FolderError(StoreError):
    """The client's folder isn't writable for this user."""

    exit_code = 5


class NoSuchMessageError(RequestError):
    """No message has this id, or it was acknowledged or fetched already."""

    code = "no_such_message"

    def __init__(self, message_id: str) -> None:
        super().__init__(f"no message with the id {message_id:.40} waits here")


def refusal(code: str) -> type[RequestError]:
    """The kind of error that an application knows by its word."""
    kinds = [RequestError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return next((kind for kind in kinds if kind.code == code), RequestError)


# What came from the network and isn't as it should be.


class RemoteError(NymError):
    """A peer can't be reached, or said something that the protocol doesn't allow."""

    exit_code = 4


class UnreachableError(RemoteError):
    """No connection, or it broke, or the answer did not come in time."""


class OwnFaultError(UnreachableError):
    """The obstacle is on this machine, and says nothing about the peer."""


class DescriptorsError(OwnFaultError):
    """No socket or file can be opened: the process or the machine is at its limit."""

    exit_code = 1


class ProxyError(OwnFaultError):
    """The environment names a proxy that can't be used."""


class RemoteFormatError(RemoteError):
    """Bytes from a peer that aren't what the protocol says."""


class UnusableNetworkError(RemoteError):
    """The directory's nodes make no network: a layer, or every provider, is missing."""


class ProviderRefusedError(RemoteError):
    """The provider answered `bad foomp`: it doesn't know the token, or the request."""


# Sphinx, docs/protocol/sphinx.md. A packet made by somebody else is refused with one of these.


class SphinxError(RemoteError):
    """A packet, or a part of one, that can't be processed."""


class LengthError(SphinxError, ValueError):
    """A packet, key, address, message or route whose length is wrong."""


class GroupElementError(SphinxError, ValueError):
    """A group element (a public key or a packet's alpha) of low order: its products are zero."""


class ScalarError(SphinxError, ValueError):
    """A secret that is zero modulo the order of the group."""


class MacError(SphinxError):
    """The header's MAC is wrong: the header was changed, or is for another node."""


class FlagError(SphinxError):
    """A routing flag that means neither forward nor final."""


class PaddingError(SphinxError):
    """A payload that isn't padded as it must be: changed on the way, or made wrongly."""


class DestinationError(SphinxError):
    """The payload names another destination than the header."""
