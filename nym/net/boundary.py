"""The boundary to the network: what the system and libraries raise there becomes an error of ours.

Whatever talks to a peer does so inside `translated`. A RemoteError comes out, or what says nothing
of the network and nobody can foresee, such as MemoryError, as it is.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

import gevent

from nym.errors import (
    NymError,
    RemoteError,
    RemoteFormatError,
    UnreachableError,
)
from nym.net.descriptors import lack_of_descriptors
from nym.wire.text import visible, without_credentials


@contextmanager
def translated(peer: str, foreign: type[Exception] = OSError) -> Iterator[None]:
    """Whatever of the class `foreign` goes wrong with `peer` inside is a RemoteError outside.

    With Exception for the class, nothing but a library's code belongs inside.
    """
    try:
        yield
    except (NymError, MemoryError):
        raise
    except foreign as error:
        raise _ours(visible(peer), error) from error


def deadline(peer: str, seconds: float) -> gevent.Timeout:
    """To be entered: after that time UnreachableError is raised inside.

    Of the whole exchange: a socket's own time-out begins anew with each byte that drips in.
    """
    return gevent.Timeout(seconds, UnreachableError(f"{peer} did not answer within {seconds:g} s"))


def _ours(peer: str, error: BaseException) -> RemoteError:
    chain = list(_chain(error))
    cause = next((inner for inner in chain if _is_no_http(inner)), chain[-1])
    if lack := lack_of_descriptors(cause):
        return lack
    if isinstance(cause, ssl.SSLCertVerificationError):
        return UnreachableError(
            f"{peer} can't be reached: its certificate isn't trusted: "
            f"{visible(cause.verify_message)}; "
            "REQUESTS_CA_BUNDLE can name a file with other authorities"
        )
    # Texts of libraries quote the peer, and the URL that was asked for.
    text = visible(without_credentials(str(cause) or type(cause).__name__))
    if isinstance(cause, OSError) or (isinstance(cause, ValueError) and not _is_no_http(cause)):
        return UnreachableError(f"{peer} can't be reached: {text}")
    return RemoteFormatError(f"{peer} gives an answer that can't be read: {text}")


def _is_no_http(error: BaseException) -> bool:
    # A connection that was closed is both of them in http.client.
    return isinstance(error, HTTPException) and not isinstance(error, OSError)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from: libraries wrap what happened several times."""
    met: set[int] = set()
    inner: BaseException | None = error
    # Beyond an error of ours is what was dealt with before; and two can be each other's cause.
    while inner is not None and not isinstance(inner, NymError) and id(inner) not in met:
        yield inner
        met.add(id(inner))
        inner = inner.__cause__ or inner.__context__
