"""Raw bytes: one read is one request, one write one answer (docs/protocol/sockets.md, "Raw bytes").

    send    01 | address 32 | message 1..975   -> ok
    fetch   02                                 -> count 2 | lengths 2 each | messages
    clients 03                                 -> addresses, 32 each
    details 04                                 -> address 32

Errors are plain text. Requests of one byte that were read together are told apart; where a send is
among them, it can't be told what is whose. Nothing else may follow a request of one byte, although
the published client ignores it: what begins like one may be something else, such as a packet for a
node that somebody says is here.
"""

from nym.errors import (
    IncompleteDataError,
    MessageTooLongError,
    RequestError,
    UnknownRequestError,
)
from nym.wire.provider import encode_messages
from nym.wire.requests import (
    ClientList,
    Clients,
    Details,
    Fetch,
    Fetched,
    OwnDetails,
    Request,
    Response,
    Room,
    Send,
    Sent,
)
from nym.wire.sizes import ADDRESS_LENGTH, LONGEST_MESSAGE

LONGEST_REQUEST = 2048
_ONE_BYTE = {2, 3, 4}
ROOM = Room(longest=0xFFFF)  # lengths have two bytes


def decode_request(data: bytes) -> Request:
    """The request in one read. Raises a RequestError, whose text is the answer."""
    if not data:
        raise IncompleteDataError
    if data[0] in _ONE_BYTE and len(data) > 1:
        raise UnknownRequestError("this request is one byte, and something follows it")
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
    """The requests in one read."""
    return [bytes([byte]) for byte in data] if are_one_byte_requests(data) else [data]


def are_one_byte_requests(data: bytes) -> bool:
    """Whether it is nothing but requests of one byte."""
    return bool(data) and set(data) <= _ONE_BYTE


def ends_connection(data: bytes) -> bool:
    """Whether no other request may follow this one on its connection.

    Behind an overlong one, nobody can tell where the next begins. One that begins with a printable
    byte is most likely a web page's: a browser can be made to connect here, with a method and a
    body that the page chose; they must not be read as requests.
    """
    return len(data) > LONGEST_REQUEST or b"!" <= data[:1] <= b"~"


def encode_response(response: Response) -> bytes:
    """The answer's one write; no bytes for an empty list of clients, which the protocol has."""
    match response:
        case Sent():
            return b"ok"
        case Fetched(messages):
            return encode_messages([bytes(received.message) for received in messages])
        case ClientList(clients):
            return b"".join(client.address for client in clients)
        case OwnDetails(client):
            return client.address
    raise TypeError(f"the raw dialect never asks for {type(response).__name__}")


def encode_error(error: RequestError) -> bytes:
    """The error's text."""
    return str(error).encode()


def _decode_send(data: bytes) -> Send:
    recipient, message = data[1 : 1 + ADDRESS_LENGTH], data[1 + ADDRESS_LENGTH :]
    if not message:
        raise IncompleteDataError
    # One read is one request: of a longer message, nobody could tell whether it is whole.
    if len(message) > LONGEST_MESSAGE:
        raise MessageTooLongError(len(message), LONGEST_MESSAGE)
    return Send(recipient, message)
