"""Raw bytes: one read is a request, one write its answer (docs/protocol/sockets.md, "Raw bytes").

    send    01 | address 32 | message 1..975   -> ok
    fetch   02                                 -> count 2 | lengths 2 each | messages
    clients 03                                 -> addresses, 32 each
    details 04                                 -> address 32

Errors are plain text. If several requests of one byte are read together, each one is answered. If a
send is among them, nobody can tell where its message ends, so all bytes after it belong to it.
Other bytes after a request of one byte are an error, although the published client ignores them:
what begins in this way may be something else, such as a packet that was sent here because a
directory lists this port as a node's.
"""

from nym.errors import (
    IncompleteDataError,
    MessageTooLongError,
    RequestError,
    UnknownRequestError,
)
from nym.wire.answers import ClientList, Fetched, OwnDetails, Response, Room, Sent
from nym.wire.provider import encode_messages
from nym.wire.requests import Clients, Details, Fetch, Request, Send
from nym.wire.sizes import ADDRESS_LENGTH, LONGEST_MESSAGE

LONGEST_REQUEST = 2048  # bytes of one read; twice what the longest send takes
_ONE_BYTE = {2, 3, 4}
ROOM = Room(longest=0xFFFF)  # lengths have two bytes


def decode_request(data: bytes) -> Request:
    """The request in one read. Raises a RequestError, whose text is the answer."""
    if not data:
        raise IncompleteDataError
    if data[0] in _ONE_BYTE and len(data) > 1:
        raise UnknownRequestError("this request has one byte, but more bytes follow it")
    match data[0]:
        case 1:
            return _decode_send(data)
        case 2:
            return Fetch()
        case 3:
            return Clients()
        case 4:
            return Details()
    raise UnknownRequestError


def split_requests(data: bytes) -> list[bytes]:
    """The requests in the bytes of one read."""
    return [bytes([byte]) for byte in data] if are_one_byte_requests(data) else [data]


def are_one_byte_requests(data: bytes) -> bool:
    """Whether these are only requests of one byte."""
    return bool(data) and set(data) <= _ONE_BYTE


def ends_connection(data: bytes) -> bool:
    """Whether the connection has to end after this request.

    After a request that is too long, nobody can tell where the next one begins. A request that
    begins with a printable byte most likely comes from a web page: it can make a browser connect
    here, with an HTTP method and a body that the page chose. These must not be read as requests.
    """
    return len(data) > LONGEST_REQUEST or b"!" <= data[:1] <= b"~"


def encode_response(response: Response) -> bytes:
    """The answer as bytes. For an empty list of clients it has none, as in the published client."""
    match response:
        case Sent():
            return b"ok"
        case Fetched(messages):
            return encode_messages([bytes(received.message) for received in messages])
        case ClientList(clients):
            return b"".join(client.address for client in clients)
        case OwnDetails(client):
            return client.address
    raise TypeError(f"no raw request is answered with {type(response).__name__}")


def encode_error(error: RequestError) -> bytes:
    """The error's text as bytes."""
    return str(error).encode()


def _decode_send(data: bytes) -> Send:
    recipient, message = data[1 : 1 + ADDRESS_LENGTH], data[1 + ADDRESS_LENGTH :]
    if not message:
        raise IncompleteDataError
    # One read is one request. A longer message may take several reads, and nothing would show
    # whether one read has all of it.
    if len(message) > LONGEST_MESSAGE:
        raise MessageTooLongError(len(message), LONGEST_MESSAGE)
    return Send(recipient, message)
