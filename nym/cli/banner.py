"""The banner of the published programs, and the version of this one."""

from nym import PROTOCOL_VERSION, __version__

VERSION = f"nym-client {__version__} (protocol {PROTOCOL_VERSION})"


def banner(program: str = "client") -> str:
    """The text that some commands print before their output, as the published programs do.

    It has the version of those, because programs may look for it.
    """
    return rf"""

      _ __  _   _ _ __ ___
     | '_ \| | | | '_ \ _ \
     | | | | |_| | | | | | |
     |_| |_|\__, |_| |_| |_|
            |___/

             ({program} - version {PROTOCOL_VERSION})

"""
