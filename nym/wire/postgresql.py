"""The URL of a PostgreSQL database, and the files and variables that have its password.

URLs are those of libpq (PostgreSQL's documentation, section 34.1.1.2), with the parameters that are
needed here:

    postgresql://USER@HOST:PORT/DATABASE?sslmode=MODE&sslrootcert=FILE&passfile=FILE

- HOST is a name, an IP address, or a folder with the server's UNIX socket, whose slashes are
  written as %2F. There may be another one as the parameter `host`.
- The mode is `disable`, `require` (encrypted, whoever answers) or `verify-full` (a certificate for
  this name, by an authority that is trusted). Without one, it is `verify-full` for a server on
  another machine and `disable` for one on this machine. libpq would try and take what it gets.
- A URL has no password: commands and files that show a URL would show it, too. It is in PGPASSWORD,
  or in a file such as ~/.pgpass (section 34.16).
"""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from nym.wire.addresses import is_loopback

SCHEMES = ("postgresql", "postgres")
PORT = 5432
DISABLE, REQUIRE, VERIFY = "disable", "require", "verify-full"
MODES = (DISABLE, REQUIRE, VERIFY)
# Four fields, in which a backslash stands before a colon or a backslash, and the password.
_LINE = re.compile(r"((?:\\.|[^:\\])*):" * 4 + "(.*)")
_PARAMETERS = ("host", "sslmode", "sslrootcert", "passfile")


class DatabaseUrl(NamedTuple):
    """Where a database is, and who asks for it. A `host` that begins with a slash is a folder."""

    user: str
    host: str
    port: int
    database: str
    mode: str
    authorities: str  # a file with certificates; empty: those that the program trusts anyway
    password_file: str  # empty: the usual one

    def __str__(self) -> str:
        """What is shown to people."""
        return f"the database {self.database} at {self.host}, port {self.port}"

    @property
    def socket(self) -> str | None:
        """The path of the server's UNIX socket, if it has one."""
        return f"{self.host}/.s.PGSQL.{self.port}" if self.host.startswith("/") else None

    def password_in(self, lines: Iterable[str]) -> str | None:
        """The password that the lines of a password file have for this database.

        The first line that fits counts: HOST:PORT:DATABASE:USER:PASSWORD. A * fits everything.
        """
        mine = (self.host, str(self.port), self.database, self.user)
        for line in lines:
            match = _LINE.fullmatch(line.rstrip("\r\n"))
            if match is None or line.startswith("#"):
                continue
            *fields, password = match.groups()
            if all(field in ("*", _escaped(own)) for field, own in zip(fields, mine, strict=True)):
                return re.sub(r"\\(.)", r"\1", password)
        return None


def parse_database_url(text: str) -> DatabaseUrl:
    """Raises ValueError, whose text is the reason and never quotes a password."""
    if not text.isprintable() or " " in text:
        raise ValueError("a database's URL has no white space and no control characters")
    url = urlsplit(text)
    if url.scheme not in SCHEMES:
        raise ValueError("a database's URL begins with postgresql://")
    if url.password is not None:
        raise ValueError(
            "a password doesn't belong in the URL, which others can see: put it into ~/.pgpass, "
            "or into the variable PGPASSWORD"
        )
    given = _parameters(url.query)
    host = given.get("host") or unquote(_host(url))
    database = unquote(url.path.removeprefix("/"))
    if not url.username or not host or not database or url.fragment:
        raise ValueError(
            "a database's URL names a user, a host and a database, such as "
            "postgresql://nym@db.example/nym; it may also have a port and parameters"
        )
    is_here = host.startswith("/") or is_loopback(host)
    mode = given.get("sslmode", DISABLE if is_here else VERIFY)
    if mode not in MODES:
        raise ValueError(f"sslmode is one of {', '.join(MODES)}")
    if host.startswith("/") and mode != DISABLE:
        raise ValueError("a UNIX socket has no TLS, so leave sslmode out")
    return DatabaseUrl(
        unquote(url.username),
        host.rstrip("/"),
        url.port or PORT,
        database,
        mode,
        given.get("sslrootcert", ""),
        given.get("passfile", ""),
    )


def _parameters(query: str) -> dict[str, str]:
    given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    unknown = sorted(given.keys() - {*_PARAMETERS})
    if unknown:
        raise ValueError(
            f"a database's URL can have the parameters {', '.join(_PARAMETERS)}, and no others"
        )
    return given


def _host(url: SplitResult) -> str:
    """The host as it was written: a folder's name may have capital letters."""
    place = url.netloc.rpartition("@")[2]
    return place.partition("]")[0].strip("[") if "[" in place else place.partition(":")[0]


def _escaped(text: str) -> str:
    return re.sub(r"([:\\])", r"\\\1", text)
