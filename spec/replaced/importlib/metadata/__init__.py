"""In the place of importlib.metadata: no distributions are installed in the bundle."""


class PackageNotFoundError(ModuleNotFoundError):
    """What is asked for isn't installed."""


def version(name):
    """No distribution has one."""
    raise PackageNotFoundError(name)


def entry_points(**_):
    """There are no plug-ins."""
    return []
