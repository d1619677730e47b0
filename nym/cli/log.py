"""The log: one line per event, on standard error, for people, for programs, or for the journal."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from nym.cli import crash
from nym.cli.output import is_journal
from nym.config import LoggingSettings
from nym.config.checks import LEVELS
from nym.net.descriptors import lack_of_descriptors
from nym.wire.text import visible

# Levels as systemd's journal reads them, from the beginning of a line (sd-daemon(3)).
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}

_LONGEST = 4000  # characters of a message
_OF_COMMANDS = "nym-client: "  # goes before their lines, as before their errors


def set_up_log(settings: LoggingSettings | None) -> None:
    """Log as the settings say, from now on; nothing that goes wrong prints a traceback.

    Without settings: the lines of a command, which are for whoever called it.
    """
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    # Python has None for a stream that was closed before the start.
    handler = logging.StreamHandler(sys.stderr) if sys.stderr else logging.NullHandler()
    handler.addFilter(_last_gate)
    handler.setFormatter(_formatter(settings))
    level = LEVELS[settings.level] if settings else logging.WARNING
    logging.basicConfig(handlers=[handler], level=level, force=True)


def log_greenlet(kind: Any, error: Any, trace: Any) -> None:
    """A greenlet, a callback of the hub or a thread died of something that nobody foresaw."""
    logging.getLogger(__name__).error("a greenlet died", exc_info=(kind, error, trace))


def _formatter(settings: LoggingSettings | None) -> logging.Formatter:
    if settings and settings.format == "json":
        return _Json()
    if is_journal():
        return _Journal(_OF_COMMANDS if settings is None else "")
    return _Text() if settings else logging.Formatter(f"{_OF_COMMANDS}%(message)s")


def _last_gate(record: logging.LogRecord) -> bool:
    """Makes the message what may be shown, whatever is in it; False where it was said before.

    Of an error that nobody foresaw it says where the report is.
    """
    text = record.getMessage()
    if record.exc_info and record.exc_info[1]:
        error = record.exc_info[1]
        if lack_of_descriptors(error):
            return False
        what = crash.describe(error)
        if not what:
            return False
        text += f": {what}"
    record.msg, record.args = visible(text, _LONGEST), ()
    record.exc_info = record.exc_text = record.stack_info = None
    return True


class _Text(logging.Formatter):
    """Time, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        time = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        return f"{time} {record.levelname:<7} {record.msg}"


class _Json(logging.Formatter):
    """An object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {
            "time": time,
            "level": record.levelname.lower(),
            "part": record.name,
            "message": record.msg,
        }
        return json.dumps(fields, ensure_ascii=False)


class _Journal(logging.Formatter):
    """The journal has a clock of its own."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{self._prefix}{record.msg}"
