"""The log: one line an event, on standard error, for people, for programs, or for the journal."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

import gevent

from nym.cli import crash
from nym.config import LoggingSettings
from nym.config.checks import LEVELS

# Levels as systemd's journal reads them, from the beginning of a line (sd-daemon(3)).
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


def set_up_log(settings: LoggingSettings) -> None:
    """Log as the settings say, from now on; nothing that goes wrong prints a traceback."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.format == "json":
        handler.setFormatter(_Json())
    elif _is_journal():
        handler.setFormatter(_Journal())
    else:
        handler.setFormatter(_Text())
    logging.basicConfig(handlers=[handler], level=LEVELS[settings.level], force=True)
    gevent.get_hub().print_exception = _log_greenlet  # type: ignore[method-assign,assignment]


class _Text(logging.Formatter):
    """Time, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        time = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        return f"{time} {record.levelname:<7} {_message(record)}"


class _Json(logging.Formatter):
    """An object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {
            "time": time,
            "level": record.levelname.lower(),
            "part": record.name,
            "message": _message(record),
        }
        return json.dumps(fields, ensure_ascii=False)


class _Journal(logging.Formatter):
    """The journal has a clock of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{_message(record)}"


def _message(record: logging.LogRecord) -> str:
    """What happened; of an error that nobody foresaw, where the report is."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[1]:
        text += f": {crash.describe(record.exc_info[1])}"
    return text.replace("\n", " ")


def _is_journal() -> bool:
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _log_greenlet(context: object, kind: Any, error: Any, trace: Any) -> None:
    logging.getLogger(__name__).error("a greenlet died", exc_info=(kind, error, trace))
