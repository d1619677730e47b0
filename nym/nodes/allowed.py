"""The list of identities from which a directory takes posts, in a file that people write.

# layer 1
BpPQ8VUq4cJGz4nqF6rKfCUaXw2yNyQf7gGKdFvzGcXB   # at home
"""

import logging
from pathlib import Path

from nym.errors import ConfigError
from nym.files import read_errors_as, read_text
from nym.wire.keys import decode_base58

_LONGEST_FILE = 4 << 20  # bytes

log = logging.getLogger(__name__)


class AllowList:
    """The identities in a file, one in base58 per line. Raises ConfigError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.identities = self._read()

    def reload(self) -> None:
        """Read the file again. If it has a mistake, everything stays as it was. Logs what it did.

        Never raises ConfigError: the directory goes on with the list that it has.
        """
        try:
            read = self._read()
        except ConfigError as error:
            log.error("the list of nodes stays as it was: %s", error)  # noqa: TRY400
            return
        before, self.identities = self.identities, read
        log.info(
            "%s lists %d identities now: %d are new, and %d are gone",
            self._path,
            len(read),
            len(read - before),
            len(before - read),
        )

    def _read(self) -> frozenset[bytes]:
        with read_errors_as(ConfigError, self._path):
            text = read_text(self._path, _LONGEST_FILE)
        try:
            return parse_allowed(text)
        except ValueError as error:
            raise ConfigError(f"{self._path}: {error}") from error


def parse_allowed(text: str) -> frozenset[bytes]:
    """The identities in a text. Raises ValueError, which names the line."""
    identities = set()
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if entry:
            try:
                identities.add(decode_base58(entry))
            except ValueError as error:
                raise ValueError(
                    f"line {number}: {error}; a line has one identity, and # begins a comment"
                ) from error
    return frozenset(identities)
