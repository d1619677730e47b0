"""Stands for datetime in the one file, as Python 3.12 has it.

Python 3.11 would first make all of it in Python, and then replace that by what is written in C.
"""

from _datetime import (  # type: ignore[import-not-found] # known to no type checker
    MAXYEAR,
    MINYEAR,
    UTC,
    date,
    datetime,
    datetime_CAPI,
    time,
    timedelta,
    timezone,
    tzinfo,
)

__all__ = [
    "MAXYEAR",
    "MINYEAR",
    "UTC",
    "date",
    "datetime",
    "datetime_CAPI",
    "time",
    "timedelta",
    "timezone",
    "tzinfo",
]
