"""In the place of certifi: certificates of its authorities, from the bundle."""

from functools import cache

import _bundle


@cache
def where():
    """A path to them."""
    return f"/proc/self/fd/{_bundle.open('certifi/cacert.pem')}"


def contents():
    """Their text."""
    return _bundle.read("certifi/cacert.pem").decode()
