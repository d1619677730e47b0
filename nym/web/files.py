"""Reads the files of pages from where this module comes from: a folder, or the one file."""

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # it is slow to load
    from importlib.abc import ResourceLoader


def read(name: str) -> bytes:
    """The bytes of the file in this package that has this name, such as `common/look.css`."""
    # Whatever has loaded this module also has the files beside it (PEP 302). importlib.resources
    # would need more of it, and load a dozen modules.
    loader, origin = cast("ResourceLoader", __spec__.loader), str(__spec__.origin)
    return loader.get_data(f"{origin.rpartition('/')[0]}/{name}")
