"""The log: one line per event, on standard error, for people, for programs, or for the journal.

Every line of the program and of its libraries passes through one filter, `_last_gate`, whatever its
format. So no text of a peer can forge a line or control a terminal, and nothing prints a traceback.
"""

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from nym.cli import crash
from nym.cli.output import is_journal
from nym.config import LoggingSettings
from nym.config.checks import LEVELS
from nym.net.descriptors import lack_of_descriptors
from nym.wire.text import visible, without_credentials

# The numbers that systemd's journal expects at the beginning of a line (sd-daemon(3)).
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}

_LONGEST = 4000  # characters of a message; a longer one is cut
# Stands before log lines of short commands such as `send`, as it does before their errors.
_OF_COMMANDS = "nym-client: "


def set_up_log(settings: LoggingSettings | None) -> None:
    """Log as the settings say, from now on. It can be called again, for instance at a reload.

    Without settings, it logs warnings only, as short commands such as `send` do.
    """
    # Otherwise logging prints a traceback when it can't write, as when standard error is full.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    # sys.stderr is None if the stream was closed before the program started.
    handler = logging.StreamHandler(sys.stderr) if sys.stderr else logging.NullHandler()
    handler.addFilter(_last_gate)
    handler.setFormatter(_formatter(settings))
    level = LEVELS[settings.level] if settings else logging.WARNING
    logging.basicConfig(handlers=[handler], level=level, force=True)


def forward_log(say: Callable[[int, str, str], None]) -> None:
    """Call `say` with the level, part and text of each line, from now on, and write nothing.

    The level from which on there are lines stays.
    """
    handler = _Forwarding(say)
    handler.addFilter(_last_gate)
    logging.basicConfig(handlers=[handler], level=logging.getLogger().level, force=True)


def log_greenlet(kind: Any, error: Any, trace: Any) -> None:
    """Log that a greenlet, a callback of the hub or a thread died of an unforeseen error."""
    logging.getLogger(__name__).error("a greenlet died", exc_info=(kind, error, trace))


def _formatter(settings: LoggingSettings | None) -> logging.Formatter:
    if settings and settings.format == "json":
        return _Json()
    if is_journal():
        return _Journal(_OF_COMMANDS if settings is None else "")
    return _Text() if settings else logging.Formatter(f"{_OF_COMMANDS}%(message)s")


def _last_gate(record: logging.LogRecord) -> bool:
    """Make the message safe to show, and add where the report is if it is about an error.

    Returns False if the line would only repeat an earlier one; then it isn't logged.
    """
    text = record.getMessage()
    if record.exc_info and record.exc_info[1]:
        error = record.exc_info[1]
        if lack_of_descriptors(error):
            return False  # this call has logged it, in words that say what to do
        what = crash.describe(error)
        if not what:
            return False
        text += f": {what}"
    record.msg, record.args = visible(without_credentials(text), _LONGEST), ()
    # Nothing is left from which a formatter could make a traceback.
    record.exc_info = record.exc_text = record.stack_info = None
    return True


class _Forwarding(logging.Handler):
    """Lets another process log."""

    def __init__(self, say: Callable[[int, str, str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        self._say(record.levelno, record.name, record.msg)


class _Text(logging.Formatter):
    """Time, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        time = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        return f"{time} {record.levelname:<7} {record.msg}"


class _Json(logging.Formatter):
    """One JSON object per line."""

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
    """Level and message. The journal adds the time itself."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{self._prefix}{record.msg}"
