"""Stands for importlib.metadata in the one file, where no distributions are installed.

The library would be loaded only to find no plug-ins of gevent.
"""


class PackageNotFoundError(ModuleNotFoundError):
    """The distribution that was asked for isn't installed."""

    def __str__(self) -> str:
        return f"No package metadata was found for {self.name}"

    @property
    def name(self) -> str:  # type: ignore[override] # the library does the same
        """The distribution's name."""
        return str(self.args[0])


def version(name: str) -> str:
    """Raise PackageNotFoundError: there are no distributions.

    Two libraries only want to show their own version, and can't be imported without one.
    """
    if name in ("pg8000", "scramp"):
        return "0"
    raise PackageNotFoundError(name)


def entry_points(**_: object) -> list[object]:
    """No entry points: there are no plug-ins."""
    return []
