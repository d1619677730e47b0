"""The boundary to the network: what the system and libraries raise there becomes an error of ours.

Whatever talks to a peer does so inside `translated`. A RemoteError comes out, or what says nothing
of the network and nobody can foresee, such as MemoryError, as it is.
"""

import errno
import logging
import resource
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

import gevent

from nym.errors import (
    DescriptorsError,
    NymError,
    RemoteError,
    RemoteFormatError,
    UnreachableError,
)
from nym.wire.text import visible, without_credentials

SAY_EVERY = 600.0  # seconds between two lines that say the same of descriptors

log = logging.getLogger(__name__)


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


def lack_of_descriptors(error: BaseException) -> DescriptorsError | None:
    """The error to raise, where `error` says that there are no descriptors left; else None.

    The first time that is a line in the log, with the limit to raise; then for ten minutes not.
    """
    if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
        return None
    if error.errno == errno.EMFILE:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        text = (
            f"this process has as many open files and connections as it may, {soft}: raise that "
            "limit with `ulimit -n` before the start, or with LimitNOFILE= in its systemd unit"
        )
    else:
        text = "this machine has as many open files as it may: raise the limit with fs.file-max"
    # The limit is one of the whole process, and so is what was said of it.
    if time.monotonic() >= said.until:
        said.until = time.monotonic() + SAY_EVERY
        log.error("%s", text)
    return DescriptorsError(text)


class Said:
    """Until when, on the monotonic clock, a line needs no repetition."""

    until = 0.0


said = Said()


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
