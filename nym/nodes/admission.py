"""Decides which posts a directory takes: who signed them, whether they are new, and who may post.

A signed post counts once, and never after a newer one by the same identity:

- It is signed for this run of the directory, a random name that it gets at each start. So nothing
  that was recorded before a restart, or at another directory, counts here.
- Its time is later than that of the last post by this identity.
- Its time is at most TOLERANCE off this directory's clock. So times that are older than that need
  not be remembered.

Posts that aren't signed are taken as those of 0.4, unless there is a list of identities.
"""

import os
from collections import OrderedDict
from collections.abc import Container

from nym.errors import NotAllowedError, OtherRunError, RemoteFormatError
from nym.wire.keys import encode_base58
from nym.wire.signed import Claim, Purpose, parse_signature

TOLERANCE = 120.0  # seconds by which the clocks of a node and of the directory may differ
MOST_REMEMBERED = 100_000  # identities, each with the time of its last post


class Admission:
    """Looks at the posts to one directory. `allowed` has identities; None: anybody may post."""

    def __init__(self, allowed: Container[bytes] | None = None) -> None:
        self.run = os.urandom(16).hex()
        self.allowed = allowed
        # The milliseconds of each identity's last post; the identity that was silent for longest
        # comes first.
        self._last: OrderedDict[bytes, int] = OrderedDict()

    def check(
        self, header: str | None, purpose: Purpose, path: str, body: bytes, now: float
    ) -> Claim | None:
        """The claim of the signature, or None if there is none and none is needed.

        Raises RemoteFormatError, OtherRunError, NotAllowedError.
        """
        if header is None:
            self._check_unsigned(purpose)
            return None
        claim, signature = parse_signature(header)
        if self.allowed is not None and claim.key not in self.allowed:
            raise NotAllowedError(
                f"the identity {encode_base58(claim.key)} isn't on this directory's list. Send it "
                "to those who run the directory: they can add it"
            )
        if claim.run != self.run:
            raise OtherRunError(
                "the post isn't signed for this run of the directory. Sign it again, with the run "
                "that this answer names"
            )
        if not claim.is_signed(signature, purpose, path, body):
            raise RemoteFormatError("the signature is wrong: what was signed has been changed")
        self._check_time(claim, now)
        return claim

    def note(self, claim: Claim) -> None:
        """A post with this claim was taken: from now on, only later ones are."""
        self._last[claim.key] = claim.created
        self._last.move_to_end(claim.key)

    def _check_unsigned(self, purpose: Purpose) -> None:
        if self.allowed is not None:
            raise NotAllowedError(
                "this directory takes posts only from identities on its list, and this one isn't "
                "signed. Use a node that signs what it posts, such as one of nym-client"
            )
        if purpose == "leaving":
            raise RemoteFormatError("only a signed post can say that a node leaves")

    def _check_time(self, claim: Claim, now: float) -> None:
        off = claim.created / 1000 - now
        if abs(off) > TOLERANCE:
            how = "ahead of" if off > 0 else "behind"
            raise RemoteFormatError(
                f"this node's clock is {abs(off):.0f} s {how} the directory's, or its post was "
                f"delayed. At most {TOLERANCE:.0f} s are accepted: set the clock"
            )
        self._forget(1000 * (now - TOLERANCE))
        last = self._last.get(claim.key)
        if last is None and len(self._last) >= MOST_REMEMBERED:
            raise RemoteFormatError("too many identities")
        if last is not None and claim.created <= last:
            raise RemoteFormatError(
                "there was a later post by this identity already. If the node's clock was set "
                f"back, it is accepted again in {(last + 1 - claim.created) / 1000:.0f} s. If two "
                "nodes have one identity, give each its own"
            )

    def _forget(self, before: float) -> None:
        """Forget times that are too old to be accepted again anyway."""
        # A time that lies ahead keeps those behind it a little longer, which does no harm.
        while self._last and next(iter(self._last.values())) < before:
            self._last.popitem(last=False)
