"""The token of a socket for applications: its file, and the check of what applications show.

Other users of the machine can connect to a port of it, but can't read the file. The token is 32
random bytes, so nobody finds it by trying, and each connection has one attempt.
"""

import logging
import stat
from contextlib import suppress
from pathlib import Path

from nym._secrets import Secret, random_seed
from nym.errors import AccessError, ConfigError
from nym.files import exists, is_foreign, os_errors_as, read_text, user, write_file
from nym.net.watch import Once
from nym.wire.tokens import format_token, parse_token

_LONGEST_FILE = 1024  # bytes
_WHERE = "the file that socket.token_file in config.toml or --token-file names has the token"

log = logging.getLogger(__name__)


class Token:
    """What applications have to show first. `where` says which file has it."""

    def __init__(self, secret: Secret, where: str = _WHERE) -> None:
        self._secret = secret
        self._where = where
        self._warning = Once(log)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self._secret == other._secret

    __hash__ = None  # type: ignore[assignment]  # a hash would tell something about the token

    def link(self, url: str) -> str:
        """The page's URL with the token behind it, where browsers keep it to themselves."""
        return f"{url}#token={format_token(self._secret)}"

    def check(self, shown: str | None, how: str) -> None:
        """Raises AccessError, which says `how` to show a token, if this one isn't shown."""
        if shown is not None and self._is(shown):
            return
        self._warning.warn("an application without the right token was refused")
        what = "this client asks for a token" if shown is None else "this is not the client's token"
        raise AccessError(f"{what}: {how}; {self._where}")

    def _is(self, shown: str) -> bool:
        try:
            return parse_token(shown) == self._secret  # secrets are compared in constant time
        except ValueError:
            return False


def load_token(path: Path, where: str = _WHERE) -> Token:
    """The token in a file, which is made if there is none. Raises ConfigError."""
    with os_errors_as(ConfigError, f"the token in {path} can't be used"):
        if not exists(path):
            # Another program may have made it since the test above, which is fine.
            with suppress(FileExistsError):
                write_file(path, _new_token(), replaces=False)
                log.info("made a token for applications in %s", path)
        _check_file(path)
        try:
            return Token(parse_token(read_text(path, _LONGEST_FILE).strip()), where)
        except ValueError as error:
            raise ConfigError(
                f"{path}: {error}; remove the file, and the client makes another one"
            ) from error


def _new_token() -> bytes:
    return format_token(random_seed()).encode() + b"\n"


def _check_file(path: Path) -> None:
    """Raises ConfigError if others know the token or can change it; OSError."""
    if (owner := is_foreign(path)) is not None:
        raise ConfigError(f"{path} belongs to another user ({user(owner)}), who knows the token")
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{path} is not a file that could have a token in it")
    if mode & 0o077:
        raise ConfigError(
            f"others can read or change the token in {path} (mode {stat.S_IMODE(mode):04o}); "
            "remove the file, and the client makes another one"
        )
