"""What servers answer to GET: bytes that are made once, and sent as the request wants them.

A plain web server or a CDN can stand in front of a directory, and browsers keep pages. So answers
have an ETag, say for how long they may be kept, and are sent packed to those who accept that (RFC
9110, RFC 9111).
"""

import gzip
import hashlib
import json
import re
from typing import Any

from nym.errors import RemoteFormatError
from nym.net.bodies import CHUNK, gather
from nym.net.web import Answer, Environment, Headers, answer_with

JSON = "application/json; charset=utf-8"
SHORTEST_PACKED = 1000  # bytes; below that, packing saves no segment


class Resource:
    """A body, and what stands above it; nothing here changes once it is made."""

    def __init__(self, body: bytes, kind: str, keep: int = 0, more: Headers | None = None) -> None:
        """`kind` is the media type; others may keep the answer for `keep` seconds.

        `more` are headers that belong to this body.
        """
        more = more or []
        self._plain = body
        # Made with the body, not with the answer: both are made in a thread.
        self._packed = gzip.compress(body, 6, mtime=0) if len(body) >= SHORTEST_PACKED else None
        # Weak, because the packed body has the same one. A body that was signed again has another
        # one: some caches don't take over new headers of an answer that they have.
        digest = hashlib.sha256(repr(more).encode() + body).hexdigest()
        self._tag = f'W/"{digest[:32]}"'
        self._headers = [
            ("Content-Type", kind),
            ("Cache-Control", f"public, max-age={keep}" if keep else "no-cache"),
            ("ETag", self._tag),
            ("Vary", "Accept-Encoding"),
            *more,
        ]

    def answer(self, known: str, encodings: str) -> Answer:
        """The answer to a request with these values of If-None-Match and Accept-Encoding."""
        if known and (known.strip() == "*" or self._tag in _items(known)):
            return Answer("304 Not Modified", self._headers, b"")
        if self._packed is not None and _takes_gzip(encodings):
            return self._whole(self._packed, [("Content-Encoding", "gzip")])
        return self._whole(self._plain, [])

    def _whole(self, body: bytes, headers: Headers) -> Answer:
        length = ("Content-Length", str(len(body)))
        return Answer("200 OK", [*self._headers, *headers, length], body)


def _items(text: str) -> list[str]:
    """The tags in a list. All are compared as weak ones, as If-None-Match wants it."""
    tags = (item.strip() for item in text.split(","))
    return [tag if tag.startswith("W/") else f"W/{tag}" for tag in tags]


def _takes_gzip(encodings: str) -> bool:
    for item in encodings.split(","):
        name, _, weight = item.partition(";")
        if name.strip().lower() in ("gzip", "*"):
            return not re.fullmatch(r"\s*q=0(\.0*)?\s*", weight)
    return False


def said(status: str, body: dict[str, Any], more: Headers | None = None) -> Answer:
    """An answer that is made for one request alone."""
    answer = answer_with(status, JSON, json.dumps(body).encode())
    return answer._replace(headers=answer.headers + (more or []))


def body_of(environ: Environment, longest: int) -> bytes:
    """The body of a request. Raises RemoteFormatError if it has more than `longest` bytes."""
    # Of a body that is too long, hardly more is read than it may have.
    chunks = iter(lambda: environ["wsgi.input"].read(min(longest + 1, CHUNK)), b"")
    body = gather(chunks, longest)
    if body is None:
        raise RemoteFormatError(f"more than {longest} bytes")
    return body
