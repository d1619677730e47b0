"""The published client's banner."""

from nym import __version__


def banner() -> str:
    """The text that some commands print before their output, as the published client does."""
    return rf"""

      _ __  _   _ _ __ ___
     | '_ \| | | | '_ \ _ \
     | | | | |_| | | | | | |
     |_| |_|\__, |_| |_| |_|
            |___/

             (client - version {__version__})

"""
