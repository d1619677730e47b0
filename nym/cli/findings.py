"""What `check` finds: one line for each thing it tries, and the code that it ends with."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from nym.cli import crash
from nym.cli.output import OutputError, say
from nym.errors import NymError
from nym.wire.text import visible

_LONGEST_LINE = 2000  # characters; paths may be long


class Finding(NamedTuple):
    """What one check found, with `advice` if there is something to do.

    `code` is what the command ends with because of it; 0: all is well.
    """

    check: str
    found: str
    advice: str = ""
    code: int = 0


class OverError(Exception):
    """A check failed, and what would follow makes no sense."""


class Findings:
    """All that was found, printed as it comes if it `is_shown`."""

    def __init__(self, *, is_shown: bool) -> None:
        self._all: list[Finding] = []
        self._is_shown = is_shown

    @property
    def code(self) -> int:
        """The code of the first thing that failed; 0 if nothing did."""
        return next((finding.code for finding in self._all if finding.code), 0)

    def add(self, finding: Finding) -> None:
        """Another one."""
        self._all.append(finding)
        if self._is_shown:
            word = "FAIL" if finding.code else "ok"
            say(f"{word:<6}{finding.check:<11}{visible(finding.found, _LONGEST_LINE)}")
            if finding.advice:
                say(f"{'':17}{visible(finding.advice, _LONGEST_LINE)}")

    @contextmanager
    def of(self, check: str) -> Iterator[None]:
        """Whatever is raised inside is what this check found. Raises OverError then."""
        try:
            yield
        except OverError:
            raise
        except (BrokenPipeError, OutputError):
            raise  # nobody can read what is found
        except NymError as error:
            self.add(Finding(check, str(error), "", error.exit_code))
            raise OverError from error
        except Exception as error:
            again = f"an error that should not happen ({type(error).__name__})"
            self.add(Finding(check, crash.describe(error) or again, "", 1))
            raise OverError from error

    def as_json(self) -> str:
        """A list of objects: check, ok, found, advice."""
        return json.dumps([_object(finding) for finding in self._all])


def _object(finding: Finding) -> dict[str, Any]:
    check, found, advice, code = finding
    return {"check": check, "ok": not code, "found": found, "advice": advice or None}
