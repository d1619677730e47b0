"""What providers and clients say to each other, on the published line and on the sealed one."""

import json
from pathlib import Path

from nym._noise import initiate, respond
from nym.errors import RemoteError
from nym.identity import generate_identity
from nym.signing import generate_signer
from nym.wire import line, provider
from tests.fuzz.targets import Target

VECTORS = Path(__file__).parent.parent.parent / "vectors"
SERVER = generate_signer().exchange_keys()
FIRST = initiate(generate_identity(), SERVER[1], b"").write(b"")


def request(data: bytes) -> None:
    assert provider.decode_request(data).encode() == data


def token(data: bytes) -> None:
    assert provider.decode_token(data) == data


def pull(data: bytes) -> None:
    pulled = provider.decode_pull(data)
    assert sum(map(len, pulled.messages)) <= len(data)
    if pulled.is_whole:
        assert provider.encode_messages(pulled.messages) == data


def line_request(data: bytes) -> None:
    data = data.ljust(line.REQUEST_LENGTH, b"\0")
    assert line.decode_request(data).encode() == data


def line_answer(data: bytes) -> None:
    data = data.ljust(line.ANSWER_LENGTH, b"\0")
    assert line.decode_answer(data).encode() == data


def noise(data: bytes) -> None:
    """The first message of a session, and the third, by a client that the provider doesn't know."""
    stranger = respond(SERVER, b"")
    try:
        stranger.read(data)
    except RemoteError:
        session = respond(SERVER, b"")
        session.read(FIRST)
        session.write(b"")
        session.read(data)


def _said(part: str) -> list[bytes]:
    cases = json.loads((VECTORS / "provider.json").read_text())
    return [
        bytes.fromhex(case[part])
        for case in cases.values()
        if isinstance(case, dict) and part in case
    ]


TARGETS = {
    "provider_request": Target(request, RemoteError, lambda: _said("request"), 128),
    "provider_token": Target(token, RemoteError, lambda: [bytes(32), provider.REFUSED], 64),
    "provider_pull": Target(pull, RemoteError, lambda: _said("response")),
    "line_request": Target(
        line_request,
        RemoteError,
        lambda: [r.encode() for r in (line.Request(True), line.Request(False, (1, 2)))],
    ),
    "line_answer": Target(
        line_answer,
        RemoteError,
        lambda: [
            line.Answer(line.Outcome.GRANTED, [(1, b"hello"), (2, b"")]).encode().rstrip(b"\0")
        ],
        8192,
    ),
    "noise": Target(noise, RemoteError, lambda: [FIRST]),
}
