"""The directories of one network: a client uses one of them at a time.

It stays with that one until it is away, or its list can't be used. Then the next one is asked.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from nym.errors import OwnFaultError, RemoteError, UnreachableError
from nym.net.directory import Listing, fetch_topology
from nym.net.trust import Trust
from nym.wire.text import visible_url

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Directories:
    """Directories by their URLs, in the order in which they are tried at first."""

    def __init__(self, urls: Sequence[str], trust: Trust | None = None) -> None:
        self.trust = trust or Trust()
        self._urls = list(urls)
        self._used = 0  # which of them

    @property
    def used(self) -> str:
        """The URL of the directory that was used last, or is asked first."""
        return self._urls[self._used]

    def first(self, use: Callable[[Listing], Result]) -> Result:
        """Return what `use` makes of the first answer that it can use. Raises RemoteError.

        `use` raises RemoteError for an answer that it can't use. The error that is raised in the
        end says what is wrong with each directory.
        """
        errors: list[RemoteError] = []
        for number in range(len(self._urls)):
            index = (self._used + number) % len(self._urls)
            try:
                result = use(fetch_topology(self._urls[index], self.trust))
            except OwnFaultError:
                raise  # no other directory could help
            except RemoteError as error:
                errors.append(error)
                continue
            if errors:
                url = visible_url(self._urls[index])
                log.warning("directory: %s; using %s instead", _texts(errors), url)
            self._used = index
            return result
        if len(errors) == 1:
            raise errors[0]
        kind = UnreachableError if _are_away(errors) else RemoteError
        raise kind(f"no directory can be used: {_texts(errors)}")


def _are_away(errors: Sequence[RemoteError]) -> bool:
    return all(isinstance(error, UnreachableError) for error in errors)


def _texts(errors: Sequence[RemoteError]) -> str:
    return "; ".join(str(error) for error in errors)
