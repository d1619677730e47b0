"""Stands for calendar in the one file, whose libraries use one function of it at their start.

The library would load another one, with the names of months in all languages.
"""

from collections.abc import Sequence
from datetime import date

import importer

__getattr__ = importer.rest_of("calendar")

_FIRST_DAY = date(1970, 1, 1).toordinal()


def timegm(tuple: Sequence[int]) -> int:
    """The seconds since 1970 of a time in UTC: year, month, day, hour, minute, second."""
    year, month, day, hour, minute, second = tuple[:6]
    days = date(year, month, 1).toordinal() - _FIRST_DAY + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second
