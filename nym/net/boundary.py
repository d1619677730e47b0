"""Turns what the system and libraries raise at the network into errors of this program.

All code that talks to a peer does so inside `translated`, and its callers handle only RemoteError.
Errors that say nothing about the network, such as MemoryError, pass unchanged.
"""

import ssl
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any

import gevent

from nym.errors import (
    CertificateError,
    NymError,
    RemoteError,
    RemoteFormatError,
    UnreachableError,
)
from nym.net.descriptors import lack_of_descriptors
from nym.wire.text import visible, without_credentials


class translated:  # noqa: N801 - a context manager that is called like a function
    """Raises a RemoteError that names `peer` for each error of the class `foreign` inside.

    `foreign` is Exception only where a library runs inside and nothing else: otherwise a mistake
    in this program's own code would be blamed on the peer.
    """

    def __init__(self, peer: object, foreign: type[Exception] = OSError) -> None:
        self._peer = peer
        self._foreign = foreign

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, self._foreign) and not isinstance(error, (NymError, MemoryError)):
            raise _ours(visible(str(self._peer)), error) from error


class deadline(gevent.Timeout):  # noqa: N801 - a context manager that is called like a function
    """Raises UnreachableError inside after so many seconds.

    It limits a whole exchange. A socket's own time-out doesn't, because it starts again with each
    byte that arrives: a peer that sends one byte at a time could hold the caller for ever.
    """

    def __init__(self, peer: object, seconds: float) -> None:
        super().__init__(seconds)
        self._peer = peer

    def _on_expiration(self, prev_greenlet: Any, ex: object) -> None:
        """See gevent, which would want the error, with its text, for each packet in advance."""
        prev_greenlet.throw(
            UnreachableError(f"{self._peer} did not answer within {self.seconds:g} s")
        )


def _ours(peer: str, error: BaseException) -> RemoteError:
    # The outermost error often says only that something failed. A malformed answer says most;
    # otherwise the innermost error is what the system or the library found first.
    chain = list(causes(error))
    cause = next((inner for inner in chain if _is_malformed_http(inner)), chain[-1])
    if lack := lack_of_descriptors(cause):
        return lack
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CertificateError(
            f"{peer} can't be reached: its certificate isn't trusted: "
            f"{visible(cause.verify_message)}; "
            "REQUESTS_CA_BUNDLE can name a file with other authorities"
        )
    # Texts of libraries quote bytes of the peer, which must not reach a terminal as they are, and
    # the URL, which can have a password in it.
    text = visible(without_credentials(str(cause) or type(cause).__name__))
    # Libraries raise ValueError for a URL or a host name that isn't valid.
    is_bad_url = isinstance(cause, ValueError) and not _is_malformed_http(cause)
    if isinstance(cause, OSError) or is_bad_url:
        return UnreachableError(f"{peer} can't be reached: {text}")
    return RemoteFormatError(f"{peer} gives an answer that can't be read: {text}")


def _is_malformed_http(error: BaseException) -> bool:
    # RemoteDisconnected is an HTTPException, too, but it says that a connection was closed.
    return isinstance(error, HTTPException) and not isinstance(error, OSError)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it came from, and so on: libraries wrap one failure several times."""
    met: set[int] = set()
    inner: BaseException | None = error
    # Errors behind one of our own were handled before this failure, and are not its cause. `met`
    # ends the loop where two errors name each other as their cause.
    while inner is not None and not isinstance(inner, NymError) and id(inner) not in met:
        yield inner
        met.add(id(inner))
        inner = inner.__cause__ or inner.__context__
