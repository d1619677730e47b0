"""Why a directory can't be used, for those who run the network, and what to do about it."""

from nym.errors import (
    CertificateError,
    ChangedListError,
    EarlyListError,
    ListsError,
    OldListError,
    OtherKeyError,
    OwnFaultError,
    RedirectError,
    RemoteError,
    StatusError,
    UnreachableError,
    UnsignedError,
    UnverifiedError,
)

SET_CLOCK = "set the clock that is wrong: nodes and clients check the times of signatures"
# What to do about a directory that can't be used. The first class counts that the error is of.
_ADVICE: tuple[tuple[type[RemoteError], str], ...] = (
    (OwnFaultError, "what is wrong is on this machine, and not at the directory"),
    (
        UnsignedError,
        "does the URL lead to another program? Directories of ours sign. If it is a published one, "
        "which can't sign, check it without a key",
    ),
    (
        OtherKeyError,
        "ask those who run it whether that is its key, which its status shows as identity. If it "
        "isn't, somebody else answers there",
    ),
    (
        OldListError,
        "does the directory run behind what answers there? A web server in front of it may show "
        "old copies",
    ),
    (EarlyListError, SET_CLOCK),
    (
        ChangedListError,
        "check it at its own port, with no web server between. If it is well there, what is "
        "between changes its answers",
    ),
    (
        ListsError,
        "check again, as lists change all the time. If that doesn't help, its log says why",
    ),
    (RedirectError, "if the directory is elsewhere now, give its new URL"),
    (
        StatusError,
        "is its URL right, with its path? If a web server is in front of the directory, does the "
        "directory run behind it?",
    ),
    (CertificateError, "has the certificate expired? Is it for the name in the URL?"),
    (UnreachableError, "does it run? Is its URL right, and its port open in the firewall?"),
    (RemoteError, "is its URL right? Something that is no directory seems to answer there"),
)


def why(error: RemoteError) -> str:
    """What has happened. No client takes part, so nothing is said of the settings of one."""
    return error.found if isinstance(error, UnverifiedError) else str(error)


def advice(error: RemoteError) -> str:
    """What to do about it."""
    return next(advice for kind, advice in _ADVICE if isinstance(error, kind))
