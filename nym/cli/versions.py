"""`version` and `--version`: the version, and what the program is made of, for bug reports."""

import platform
import sqlite3
import ssl
import sys
from collections.abc import Iterator

import gevent
import pysodium

from nym import PROTOCOL_VERSION, __version__
from nym.cli import Options
from nym.cli.banner import VERSION
from nym.cli.build import commit, is_one_file
from nym.cli.output import say


def version(options: Options) -> int:
    """Print the version; with --verbose, also those of its parts, for bug reports."""
    say("\n".join(versions()) if options["--verbose"] else VERSION)
    return 0


def versions() -> Iterator[str]:
    """Name and version of each part that matters in a bug report, one line for each."""
    yield f"nym-client {__version__}"
    yield f"protocol   {PROTOCOL_VERSION}"
    yield f"commit     {commit()}"
    yield f"Python     {platform.python_version()}"
    yield f"gevent     {gevent.__version__}"
    yield f"libsodium  {pysodium.sodium.sodium_version_string().decode()}"
    yield f"OpenSSL    {ssl.OPENSSL_VERSION.removeprefix('OpenSSL ')}"
    yield f"SQLite     {sqlite3.sqlite_version}"
    yield f"system     {platform.system()} {platform.release()} {platform.machine()}"
    yield f"runs from  {sys.executable if is_one_file() else 'Python, ' + sys.prefix}"
