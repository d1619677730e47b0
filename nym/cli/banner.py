"""The published client's banner, and the version of this one."""

from nym import PROTOCOL_VERSION, __version__

VERSION = f"nym-client {__version__} (protocol {PROTOCOL_VERSION})"


def banner() -> str:
    """The text that some commands print before their output, as the published client does.

    It has the version of that client, because programs may look for it.
    """
    return rf"""

      _ __  _   _ _ __ ___
     | '_ \| | | | '_ \ _ \
     | | | | |_| | | | | | |
     |_| |_|\__, |_| |_| |_|
            |___/

             (client - version {PROTOCOL_VERSION})

"""
