"""The library for programs beside a client, with asyncio: see nym.connect and docs/library.md."""

from nym.application.aio import Connecting, connect
from nym.application.core import Connection

__all__ = ["Connecting", "Connection", "connect"]
