"""Stands for importlib.metadata in the one file, where no distributions are installed.

The library would be loaded only to find no plug-ins of gevent.
"""


class PackageNotFoundError(ModuleNotFoundError):
    """The distribution that was asked for isn't installed."""


def version(name):
    """Raise PackageNotFoundError: there are no distributions."""
    raise PackageNotFoundError(name)


def entry_points(**_):
    """No entry points: there are no plug-ins."""
    return []
