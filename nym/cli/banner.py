"""The published client's banner."""

from nym import __version__


def banner() -> str:
    """What stands before the output of the commands that show it."""
    return rf"""

      _ __  _   _ _ __ ___
     | '_ \| | | | '_ \ _ \
     | | | | |_| | | | | | |
     |_| |_|\__, |_| |_| |_|
            |___/

             (client - version {__version__})

"""
