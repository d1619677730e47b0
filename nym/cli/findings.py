"""Collects what `check` finds: a line for each thing it tries, and the exit code at the end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from nym.cli import crash
from nym.cli.output import OutputError, say
from nym.errors import NymError
from nym.wire.text import visible, without_credentials

_LONGEST_LINE = 2000  # characters; paths may be long


class Finding(NamedTuple):
    """What one check found, with `advice` if there is something to do.

    `code` is the exit code that this finding calls for; 0 means that it is no failure.
    """

    check: str
    found: str
    advice: str = ""
    code: int = 0


class OverError(Exception):
    """A check failed, and the later ones make no sense without it."""


class Findings:
    """All findings. If `is_shown`, each is printed as soon as it is added."""

    def __init__(self, *, is_shown: bool) -> None:
        self._all: list[Finding] = []
        self._is_shown = is_shown

    @property
    def code(self) -> int:
        """The code of the first thing that failed; 0 if nothing did."""
        return next((finding.code for finding in self._all if finding.code), 0)

    def add(self, finding: Finding) -> None:
        """Add a finding, and print it if findings are shown."""
        self._all.append(finding)
        if self._is_shown:
            word = "FAIL" if finding.code else "ok"
            say(f"{word:<6}{finding.check:<11}{visible(finding.found, _LONGEST_LINE)}")
            if finding.advice:
                say(f"{'':17}{visible(finding.advice, _LONGEST_LINE)}")

    @contextmanager
    def of(self, check: str) -> Iterator[None]:
        """Turn an error inside the block into a finding of this check, and raise OverError."""
        try:
            yield
        except OverError:
            raise
        except (BrokenPipeError, OutputError):
            raise  # the output is gone, so nobody could read a finding about it
        except NymError as error:
            self.add(Finding(check, without_credentials(str(error)), "", error.exit_code))
            raise OverError from error
        except Exception as error:
            # `describe` returns "" for an error that it has told already. A finding needs a text.
            again = f"an error that should not happen ({type(error).__name__})"
            self.add(Finding(check, crash.describe(error) or again, "", 1))
            raise OverError from error

    def as_json(self) -> str:
        """A list of objects: check, ok, found, advice."""
        return json.dumps([_object(finding) for finding in self._all])


def _object(finding: Finding) -> dict[str, Any]:
    check, found, advice, code = finding
    return {"check": check, "ok": not code, "found": found, "advice": advice or None}
