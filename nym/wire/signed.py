"""The header by which nodes and directories sign what they say (docs/protocol/directory.md).

    Nym-Signature: v=1; key=KEY; run=RUN; created=MS; signature=BASE64
    Nym-Signature: v=1; key=KEY; created=MS; expires=MS; signature=BASE64

`run` and `expires` are optional. The signature covers all other fields, what it is for, the path
and the body: so a signature for one thing is never one for another. Each header has one form.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from nym._secrets import verify
from nym.errors import RemoteFormatError
from nym.wire.base64 import decode
from nym.wire.keys import decode_base58, encode_base58

HEADER = "Nym-Signature"
# In a directory's refusal: the run for which it wants a post to be signed (nym.nodes.admission).
RUN_HEADER = "Nym-Run"

Purpose = Literal["presence", "leaving", "metrics", "topology"]

_CONTEXT = "Nym-Signature of a Nym 0.4 network"
_TIME = "(0|[1-9][0-9]{0,14})"
_RUN = "[0-9a-f]{32}"
_FORM = re.compile(
    r"v=1; key=([1-9A-Za-z]{32,44})"
    rf"(?:; run=({_RUN}))?; created={_TIME}(?:; expires={_TIME})?"
    r"; signature=([A-Za-z0-9+/]{86}==)"
)


class Claim(NamedTuple):
    """Who signs, when, and for how long; times are in milliseconds since 1970."""

    key: bytes
    created: int
    run: str = ""  # of the directory that it is for, or "" for everybody
    expires: int | None = None

    def signed(
        self, sign: Callable[[bytes], bytes], purpose: Purpose, path: str, body: bytes
    ) -> str:
        """The value of the header; `sign` makes the signature."""
        signature = sign(self._statement(purpose, path, body))
        return f"{self._unsigned()}; signature={base64.b64encode(signature).decode()}"

    def is_signed(self, signature: bytes, purpose: Purpose, path: str, body: bytes) -> bool:
        """Whether it is the signature of this claim, of this body, and for this purpose."""
        return verify(self.key, signature, self._statement(purpose, path, body))

    def _unsigned(self) -> str:
        run = f"; run={self.run}" if self.run else ""
        expires = "" if self.expires is None else f"; expires={self.expires}"
        return f"v=1; key={encode_base58(self.key)}{run}; created={self.created}{expires}"

    def _statement(self, purpose: Purpose, path: str, body: bytes) -> bytes:
        # No part has a line feed, so the lines can't be divided in another way.
        lines = (_CONTEXT, purpose, path, self._unsigned(), hashlib.sha256(body).hexdigest())
        return "".join(f"{line}\n" for line in lines).encode()


def parse_signature(header: str) -> tuple[Claim, bytes]:
    """The claim and the signature in a header, which isn't verified here.

    Raises RemoteFormatError.
    """
    match = _FORM.fullmatch(header)
    if match is None:
        raise RemoteFormatError(f"the header {HEADER} isn't in its form")
    key, run, created, expires, text = match.groups()
    try:
        claim = Claim(
            decode_base58(key), int(created), run or "", None if expires is None else int(expires)
        )
        return claim, decode(text)
    except ValueError as error:
        raise RemoteFormatError(f"the header {HEADER} isn't in its form: {error}") from error


def is_run(text: str) -> bool:
    """Whether a directory's run can have this name."""
    return re.fullmatch(_RUN, text) is not None
