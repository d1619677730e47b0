"""What the program is made of, for reports of errors: `--version --verbose`."""

import platform
import sqlite3
import ssl
import sys
from collections.abc import Iterator

import gevent
import pysodium

from nym import __version__
from nym.cli.build import commit, is_one_file


def versions() -> Iterator[str]:
    """A line each."""
    yield f"nym-client {__version__}"
    yield f"commit     {commit()}"
    yield f"Python     {platform.python_version()}"
    yield f"gevent     {gevent.__version__}"
    yield f"libsodium  {pysodium.sodium.sodium_version_string().decode()}"
    yield f"OpenSSL    {ssl.OPENSSL_VERSION.removeprefix('OpenSSL ')}"
    yield f"SQLite     {sqlite3.sqlite_version}"
    yield f"system     {platform.system()} {platform.release()} {platform.machine()}"
    yield f"runs from  {sys.executable if is_one_file() else 'Python, ' + sys.prefix}"
