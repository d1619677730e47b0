"""`version`, and what `--version` prints: what the program is made of, for reports of errors."""

import platform
import sqlite3
import ssl
import sys
from collections.abc import Iterator

import gevent
import pysodium

from nym import __version__
from nym.cli import Options
from nym.cli.build import commit, is_one_file
from nym.cli.output import say


def version(options: Options) -> int:
    """Print the version; with --verbose, everything that matters for a report."""
    say("\n".join(versions()) if options["--verbose"] else f"nym-client {__version__}")
    return 0


def versions() -> Iterator[str]:
    """One line for each part."""
    yield f"nym-client {__version__}"
    yield f"commit     {commit()}"
    yield f"Python     {platform.python_version()}"
    yield f"gevent     {gevent.__version__}"
    yield f"libsodium  {pysodium.sodium.sodium_version_string().decode()}"
    yield f"OpenSSL    {ssl.OPENSSL_VERSION.removeprefix('OpenSSL ')}"
    yield f"SQLite     {sqlite3.sqlite_version}"
    yield f"system     {platform.system()} {platform.release()} {platform.machine()}"
    yield f"runs from  {sys.executable if is_one_file() else 'Python, ' + sys.prefix}"
