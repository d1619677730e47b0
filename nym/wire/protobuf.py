"""mix.proto's messages, from and to what all dialects ask and answer.

docs/protocol/sockets.md, "Framed protobuf".
"""

import base64

from google.protobuf.message import DecodeError

from nym.errors import IncompleteDataError, RequestError, UnknownRequestError
from nym.wire import mix_pb2
from nym.wire.framing import LONGEST_MESSAGE
from nym.wire.requests import (
    ClientList,
    Clients,
    Details,
    Fetch,
    Fetched,
    Flush,
    Flushed,
    KnownClient,
    OwnDetails,
    Request,
    Response,
    Send,
    Sent,
)
from nym.wire.sizes import ADDRESS_LENGTH

_EMPTY_REQUESTS: dict[str, Request] = {
    "fetch": Fetch(LONGEST_MESSAGE),
    "clients": Clients(),
    "details": Details(),
    "flush": Flush(),
}
# What the published client says of a client of whose listener nobody knows.
_NO_HOST, _NO_PORT = "0.0.0.0", "42"  # noqa: S104


def decode_request(data: bytes) -> Request:
    """The request in one message. Raises a RequestError, whose text is for the application."""
    try:
        request = mix_pb2.Request.FromString(data)
    except DecodeError as error:
        raise UnknownRequestError("a protobuf Request was expected") from error
    kind = request.WhichOneof("value")
    if kind is None:
        raise UnknownRequestError("send, fetch, clients, details or flush was expected")
    if kind != "send":
        return _EMPTY_REQUESTS[kind]
    recipient = request.send.recipient.pub_key
    if not recipient:
        raise IncompleteDataError("send needs a recipient with a PubKey")
    if len(recipient) != ADDRESS_LENGTH:
        raise IncompleteDataError(
            f"the recipient's PubKey has {len(recipient)} bytes instead of {ADDRESS_LENGTH}"
        )
    return Send(recipient, request.send.message)


def encode_response(response: Response) -> bytes:
    """The message with an answer."""
    message = mix_pb2.Response()
    match response:
        case Sent():
            message.send.SetInParent()
        case Fetched(messages):
            message.fetch.SetInParent()
            message.fetch.messages.extend(received.message for received in messages)
        case ClientList(clients):
            message.clients.SetInParent()
            message.clients.clients.extend(_client(c, _NO_HOST, _NO_PORT) for c in clients)
        case OwnDetails(client):
            message.details.details.CopyFrom(_client(client, "", ""))
        case Flushed():
            message.flush.SetInParent()
        case _:
            raise TypeError(f"the framed dialect never asks for {type(response).__name__}")
    return message.SerializeToString(deterministic=True)


def encode_error(error: RequestError) -> bytes:
    """The message with an error's text."""
    return mix_pb2.Response(exception=mix_pb2.Failure(error=str(error))).SerializeToString()


def _client(client: KnownClient, host: str, port: str) -> mix_pb2.Client:
    message = mix_pb2.Client(id=_id(client.address), host=host, port=port, pub_key=client.address)
    if client.provider_address is not None:
        message.provider.CopyFrom(
            mix_pb2.Provider(
                id=_id(client.provider_key),
                host=client.provider_address.ip,
                port=str(client.provider_address.port),
                pub_key=client.provider_key,
            )
        )
    return message


def _id(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode("ascii")
