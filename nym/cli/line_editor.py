"""A line that is being typed, while other lines appear above it.

The terminal's own line editing can't do that: messages that arrive would be printed into the middle
of the line. GNU readline could, but its licence would then apply to the whole program. This class
gets keys as bytes, and returns finished lines and a picture of the current line. It does no I/O:
nym.cli.chat reads from the terminal and writes to it.
"""

import codecs
import re
import unicodedata

PROMPT = "> "
LONGEST = 1 << 16  # characters of a line; what is typed or pasted beyond them is ignored

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O])")  # arrows and other such keys
_BEGUN_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_ENTER, _END, _BACKSPACES, _KILL_LINE, _KILL_WORD = "\n", "\x04", "\x7f\x08", "\x15", "\x17"


class LineEditor:
    """One line: `feed` takes typed bytes, and `picture` returns what the line looks like."""

    def __init__(self) -> None:
        self.text = ""
        self.is_over = False  # Ctrl-D on an empty line
        # Keys can arrive in parts: a character's bytes, or an arrow's escape sequence.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """Process typed bytes; returns the lines that they finished."""
        # Arrows and function keys do nothing here. Their sequences mustn't end up in the text.
        typed = _ESCAPE.sub("", self._rest + self._decoder.decode(data))
        begun = _BEGUN_ESCAPE.search(typed)
        self._rest = begun.group() if begun else ""
        lines = []
        for key in typed[: len(typed) - len(self._rest)]:
            if key == _ENTER:
                lines.append(self.text)
                self.text = ""
            elif key == _END:
                self.is_over = self.is_over or not self.text
            else:
                self._edit(key)
        return lines

    def _edit(self, key: str) -> None:
        if key in _BACKSPACES:
            # Combining marks, such as accents, are removed together with their letter, because the
            # terminal shows them in one place.
            while self.text and unicodedata.combining(self.text[-1]):
                self.text = self.text[:-1]
            self.text = self.text[:-1]
        elif key == _KILL_LINE:
            self.text = ""
        elif key == _KILL_WORD:
            self.text = re.sub(r"\S*\s*\Z", "", self.text, count=1)
        elif key == "\t":
            self.text += " "
        elif key.isprintable() or unicodedata.category(key) == "Cf":  # these join emoji
            self.text = (self.text + key)[:LONGEST]

    def picture(self, columns: int) -> str:
        """The prompt, and as much of the end of the text as fits into one line."""
        room = max(1, columns - len(PROMPT) - 1)  # minus one column for the cursor
        shown: list[str] = []
        for character in reversed(self.text):
            room -= _width(character)
            if room < 0:
                break
            shown.append(character)
        return PROMPT + "".join(reversed(shown))


def _width(character: str) -> int:
    """The columns that a character takes on a terminal."""
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
