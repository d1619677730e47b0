"""Whether a directory's list of nodes is signed as it has to be (docs/protocol/directory.md).

The settings can name the keys of directories. Then a list counts only if one of them has signed it,
it hasn't expired, and it is no older than the newest one that this key has signed for this client.
"""

import time
from collections.abc import Collection, Mapping

from nym.errors import (
    ChangedListError,
    EarlyListError,
    OldListError,
    OtherKeyError,
    RemoteFormatError,
    UnsignedError,
)
from nym.net.http import Answer
from nym.timing import duration
from nym.wire.directory import TOPOLOGY_PATH
from nym.wire.keys import encode_base58
from nym.wire.signed import HEADER, Claim, parse_signature
from nym.wire.text import visible_url

# Seconds by which the directory's clock may be ahead of this machine's. After a list from the
# future, this client would refuse all lists until then.
AHEAD = 300.0


class Trust:
    """The keys of the directories of a network; without any, every list counts.

    `newest` is when the newest list was signed that each key has signed, in milliseconds since
    1970. It has to outlast the process.
    """

    def __init__(
        self, keys: Collection[bytes] = (), newest: Mapping[bytes, int] | None = None
    ) -> None:
        self.keys = frozenset(keys)
        self.newest = dict(newest or {})

    def check(self, directory: str, answer: Answer) -> bytes | None:
        """The key that signed this answer of a directory; None if none has to.

        Raises UnverifiedError, whose text says what is wrong.
        """
        if not self.keys:
            return None
        name, now = visible_url(directory), time.time()
        claim = self._signed(name, answer)
        # If the server's clock agrees with the signature, this machine's own is the likely reason.
        off = 0.0 if answer.date is None else now - answer.date
        expires = 0 if claim.expires is None else claim.expires
        if now > expires / 1000:
            blame = f". {_own_clock(off)}" if now - off <= expires / 1000 else ""
            raise OldListError(
                f"the list of nodes from {name} is an old copy, and isn't used: it expired "
                f"{duration(now - expires / 1000)} ago{blame}"
            )
        if (ahead := claim.created / 1000 - now) > AHEAD:
            blame = _own_clock(off) if ahead + off <= AHEAD else "One of the two clocks is wrong"
            raise EarlyListError(
                f"the list of nodes from {name} isn't used: it was signed {duration(ahead)} ahead "
                f"of this machine's clock. {blame}"
            )
        newest = self.newest.get(claim.key, 0)
        if claim.created < newest:
            raise OldListError(
                f"the list of nodes from {name} is an old copy, and isn't used: this client has "
                f"seen one that is {duration((newest - claim.created) / 1000)} newer"
            )
        self.newest[claim.key] = claim.created
        return claim.key

    def _signed(self, name: str, answer: Answer) -> Claim:
        """What the signature claims, once it has been verified. Raises UnverifiedError."""
        header = answer.headers.get(HEADER)
        if header is None:
            raise UnsignedError(
                f"{name} doesn't sign its list of nodes, so the list isn't used",
                "client.directory_key says who has to sign it. If this directory doesn't sign, "
                "unset client.directory_key, or name another directory",
            )
        try:
            claim, signature = parse_signature(header)
        except RemoteFormatError as error:
            raise ChangedListError(f"the list of nodes from {name} isn't used: {error}") from error
        if claim.key not in self.keys:
            raise OtherKeyError(
                f"the list of nodes from {name} isn't used: it is signed with another key, "
                f"{encode_base58(claim.key)}",
                "client.directory_key doesn't name it. Ask those who run the directory whether "
                "that is their key",
            )
        if not claim.is_signed(signature, "topology", TOPOLOGY_PATH, answer.body):
            raise ChangedListError(
                f"the list of nodes from {name} isn't used: it was changed after it was signed, by "
                "the server or on the way"
            )
        return claim


def _own_clock(off: float) -> str:
    how = "ahead of" if off > 0 else "behind"
    return f"This machine's clock is {duration(abs(off))} {how} the directory's: set it"
