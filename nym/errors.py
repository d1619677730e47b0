"""Every error that the program raises on purpose, in one tree.

The text of an error is the sentence that the user reads: it says what happened, and what to do. The
class says whose mistake it is (the user's, an application's, or a peer's), so that callers never
have to compare texts. It also gives the exit code of a command that ends with this error.
"""

from collections.abc import Mapping


class NymError(Exception):
    """The base of all errors here. `exit_code` is for commands that end with the error."""

    exit_code = 1


class UsageError(NymError):
    """The command line can't be understood."""

    exit_code = 2


class IdentityError(NymError):
    """The client's keys are missing, damaged, or open to others, or they exist already."""

    exit_code = 5


class ConfigError(NymError):
    """A setting is unknown or has an invalid value, or its file can't be read or changed."""

    exit_code = 5


class ListenError(NymError):
    """The program can't listen on a port or a socket file."""


class ArchiveError(NymError):
    """A file isn't one that holds a provider, or is damaged."""


class NotRunningError(NymError):
    """The client that a command needs isn't running, or has stopped meanwhile."""

    exit_code = 3


class ContactError(NymError):
    """No contact has this name, or the name can't be given to a contact."""


class FolderInUseError(NymError):
    """Another client uses the folder already, and two clients can't share one."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"another nym-client is already using {folder}; stop it first, or use another --id"
        )


class LockedError(NymError):
    """Another process has locked the folder to change files in it, and doesn't finish."""

    def __init__(self, folder: object, holder: str) -> None:
        super().__init__(
            f"{folder} is locked by {holder}, so nothing was changed. Wait until that process has "
            "ended, or end it, and try again"
        )


# A local application's request can't be granted.


class RequestError(NymError):
    """A local request is refused. The text is sent to the application.

    `code` is a word that programs can compare; dialects without a field for it leave it out. Some
    texts are fixed, because applications expect those of the published client. This program's own
    commands then show `for_people` instead.
    """

    code = "bad_request"
    for_people = ""


class IncompleteDataError(RequestError):
    """A request lacks a part, or a part of it has a wrong value."""

    code = "incomplete"

    def __init__(self, missing: str = "") -> None:
        super().__init__("IncompleteDataError" + (f": {missing}" if missing else ""))


class EmptyRequestError(IncompleteDataError):
    """A request has no bytes at all."""


class ShortRequestError(IncompleteDataError):
    """A request ends before all of its fields are there."""


class UnknownRequestError(RequestError):
    """A request isn't of any known kind."""

    code = "unknown_request"

    def __init__(self, expected: str = "") -> None:
        super().__init__("UnknownRequestError" + (f": {expected}" if expected else ""))


class FrameError(RequestError):
    """A frame or a line is too long, or its length makes no sense.

    Nobody can tell where the next one begins, so the connection has to be closed.
    """


class HandshakeError(RequestError):
    """An HTTP request doesn't open a WebSocket. `status` is the HTTP status of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class MessageTooLongError(RequestError):
    """A message is longer than its kind or its dialect allows."""

    code = "too_long"

    def __init__(self, length: int, maximum: int) -> None:
        super().__init__(f"too long message. Sent {length} bytes while the maximum is {maximum}")


class BadRecipientError(RequestError):
    """No client can have the recipient's address, because no private key belongs to it."""

    code = "bad_recipient"

    def __init__(self) -> None:
        super().__init__("the recipient's address isn't valid: no client can have it")


class NoPageError(RequestError):
    """The client has no page."""

    def __init__(self) -> None:
        super().__init__(
            "this client has no page: a client has one if it runs with nym-client websocket, at a "
            "port and not at a UNIX socket"
        )


class NoTopologyError(RequestError):
    """The client knows no network yet, or can't make a route from what it knows."""

    code = "no_network"
    for_people = "no network is known yet; nym-client check says what is missing"
    exit_code = 4

    def __init__(self) -> None:
        super().__init__("Invalid network topology")


class BusyError(RequestError):
    """The outbox is full, or there are too many connections."""

    code = "busy"


class NoReplyAddressError(RequestError):
    """No address for an answer is free. One will be."""

    code = "no_reply_address"


class NoAnswersError(RequestError):
    """The client has no addresses for answers, and makes none: its settings say so."""

    code = "no_answers"

    def __init__(self) -> None:
        super().__init__(
            "this client can't be answered without its address: client.reply_addresses is 0, or "
            "privacy.seal is false"
        )


class NoSuchTagError(RequestError):
    """No message came with this tag, or an address that an answer needs has expired."""

    code = "no_such_tag"

    def __init__(self, why: str = "this tag is unknown, or its address has expired") -> None:
        super().__init__(why)


class AccessError(RequestError):
    """A socket isn't for this peer: it is another user's, or it has not shown the right token."""

    code = "access"


class ContactsError(RequestError):
    """contacts.toml is broken, or can't be changed as asked."""

    code = "contacts"


class StoreError(RequestError):
    """The client's database can't be written or read: the disk is full, or fails."""

    code = "storage"


class FolderError(StoreError):
    """The user can't write to the client's folder."""

    exit_code = 5


class NoRoomError(StoreError):
    """The disk is full."""


class OutcomeUnknownError(StoreError):
    """A change was sent to a database, and nobody can say whether it is in it now."""


class NoSuchMessageError(RequestError):
    """No message with this id waits: there was none, or it is finished, acknowledged or fetched."""

    code = "no_such_message"

    def __init__(self, message_id: str) -> None:
        super().__init__(f"no message with the id {message_id:.40} waits here")


def refusal(code: str) -> type[RequestError]:
    """The class whose `code` this is, or RequestError if there is none."""
    kinds = [RequestError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return next((kind for kind in kinds if kind.code == code), RequestError)


# A peer on the network can't be reached, or breaks the protocol.


class RemoteError(NymError):
    """A peer can't be reached, or said something that the protocol doesn't allow."""

    exit_code = 4


class UnreachableError(RemoteError):
    """There is no connection, or it broke, or the answer didn't come in time."""


class CertificateError(UnreachableError):
    """A server's certificate isn't trusted."""


class OwnFaultError(UnreachableError):
    """The obstacle is on this machine, so the peer must not be blamed or avoided for it."""


class DescriptorsError(OwnFaultError):
    """No more sockets or files can be opened: the process or the machine is at its limit."""

    exit_code = 1


class ProxyError(OwnFaultError):
    """The proxy that the settings or the environment name can't be used."""


class RemoteFormatError(RemoteError):
    """A peer sent bytes that don't follow the protocol."""


class LineError(RemoteFormatError):
    """A sealed line isn't with the peer that it is meant for, or somebody changed what is on it."""


class StatusError(RemoteFormatError):
    """A server answered with an HTTP status that is no success; `headers` are the answer's."""

    def __init__(self, text: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class RedirectError(RemoteFormatError):
    """A server redirects to where this program doesn't go."""


class NotAllowedError(RemoteError):
    """A directory takes posts only from nodes on its list, and this isn't one of them."""


class OtherRunError(RemoteFormatError):
    """A post wasn't signed for this run of the directory; it can be signed again for it."""


class UnverifiedError(RemoteError):
    """A directory's list of nodes isn't signed as it has to be.

    `found` is the text without what it has to do with the settings of a client.
    """

    def __init__(self, found: str, settings: str = "") -> None:
        super().__init__(f"{found}. {settings}" if settings else found)
        self.found = found


class UnsignedError(UnverifiedError):
    """It isn't signed at all."""


class OtherKeyError(UnverifiedError):
    """It is signed with a key that isn't one of those that are known."""


class OldListError(UnverifiedError):
    """It has expired, or a newer one was seen."""


class EarlyListError(UnverifiedError):
    """It was signed in the future."""


class ChangedListError(UnverifiedError):
    """Its signature is wrong, or isn't in its form."""


class ListsError(RemoteError):
    """A directory lists nodes, and doesn't give the lists of their clients."""


class NotForThisNodeError(RemoteFormatError):
    """A packet asks for what this kind of node doesn't do."""


class DelayTooLongError(RemoteFormatError):
    """A packet asks a mixnode to hold it for longer than mixnodes do."""


class NoInboxError(RemoteFormatError):
    """A client isn't registered at this provider."""


class InboxFullError(RemoteFormatError):
    """A message is for a client that has too many already."""


class OverloadError(RemoteError):
    """A node has as much as it can take, so it takes nothing new."""


class UnusableNetworkError(RemoteError):
    """The directory's nodes don't make a whole network: a layer, or every provider, is missing."""


class ProviderRefusedError(RemoteError):
    """The provider answered `bad foomp`: it doesn't accept the token, or the request."""


# Sphinx (docs/protocol/sphinx.md). A packet that can't be built or processed raises one of these.
# Those that are ValueErrors too can also come from a caller's own argument.


class SphinxError(RemoteError):
    """A packet, or a part of one, can't be processed."""


class LengthError(SphinxError, ValueError):
    """A packet, key, address, message or route has a wrong length."""


class GroupElementError(SphinxError, ValueError):
    """A group element (a public key or a packet's alpha) has low order: its products are zero."""


class ScalarError(SphinxError, ValueError):
    """A secret is zero modulo the order of the group."""


class MacError(SphinxError):
    """The header's MAC is wrong: the header was changed, or is for another node."""


class ReplayedError(SphinxError):
    """The node has had this packet before."""

    def __init__(self) -> None:
        super().__init__("it came before")


class FlagError(SphinxError):
    """A routing flag means neither forward nor final."""


class PaddingError(SphinxError):
    """A payload isn't padded correctly: it was changed on the way, or made wrongly."""


class DestinationError(SphinxError):
    """The payload names a different destination from the header."""
