"""JSON objects of many MiB, parsed piece by piece.

What makes an object long is the texts in it. Long texts are cut out, and the standard library
parses the rest, whose length is limited. The standard library also decodes each long text, in
pieces that end between two characters. So the results and the errors are the same as if it had
parsed everything at once. But parsing 24 MiB at once would hold up packets for some hundred
milliseconds.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nym.wire.pieces import Rest

LONG = 1 << 10  # bytes; longer texts are cut out
LONGEST_REST = 128 << 10  # bytes of everything else; parsing them takes some milliseconds

# The inside of a text, up to its end or to an escape that isn't complete yet. A surrogate pair,
# such as \ud83d\ude00, is not split. Possessive quantifiers would express that the match never
# backtracks, but Python 3.11.2 returns wrong ends for them.
_INSIDE = re.compile(
    rb"""(?: [^"\\]+
    | \\[^u]
    | \\u(?![dD][89abAB]).{4}
    | \\u[dD][89abAB].{2} (?: \\u.{4} | \\[^u] | [^"\\] | (?=") )
    )*""",
    re.VERBOSE | re.DOTALL,
)
_SPAN = 8 << 10  # bytes that are searched for escapes at once
_LONGEST_ESCAPE = 12  # bytes: a surrogate pair
# A long text is replaced by half a surrogate pair and its number. No valid object contains that, so
# the place can't be confused with a text of the application.
_PLACE = "\ud800%d"


class LongText:
    """A long text of an object, in pieces."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        # That it contains half a surrogate pair. It counts only if the text is in the value: of two
        # members with the same name, the standard library drops the first.
        self.mistake: UnicodeEncodeError | None = None

    def __str__(self) -> str:
        return "".join(self.pieces)


def loads(line: Iterable[bytes], rest: Rest) -> Any:
    """The JSON value in the pieces of `line`. Long texts in it are LongText.

    Raises ValueError, RecursionError; UnicodeEncodeError if a text contains half a surrogate pair.
    """
    reader = _Reader(rest)
    for piece in line:
        reader.feed(piece)
        rest()
    return reader.end()


def flat(value: Any) -> Any:
    """The same value with each LongText as a str."""
    match value:
        case LongText():
            return str(value)
        case list():
            return [flat(item) for item in value]
        case dict():
            return {flat(key): flat(item) for key, item in value.items()}
    return value


def check_characters(value: Any) -> None:
    """Raises UnicodeEncodeError if a text in `value` contains half a surrogate pair."""
    # Escapes can produce one, but it has no UTF-8, so it could be neither sent nor written back.
    json.dumps(value, ensure_ascii=False).encode()


class _Reader:
    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._skeleton: list[bytes | int] = []  # the object; a number stands for a long text
        self._length = 0  # bytes of the skeleton
        self._texts: list[LongText] = []
        self._text: _Text | None = None  # the text that hasn't ended yet
        self._left = b""  # the beginning of an escape that the last piece cut

    def feed(self, piece: bytes) -> None:
        """The next bytes."""
        data, at = self._left + piece, 0
        self._left = b""
        while at < len(data):
            if self._text is None:
                at = self._outside(data, at)
            else:
                at = self._inside(data, at, self._text)
            self._rest()

    def end(self) -> Any:
        """The value, after the last piece."""
        if self._text:
            raise ValueError("a text has no end")
        # First with empty texts in the places, so that half a surrogate pair in the skeleton itself
        # is found before the places put some in.
        whole = self._loads('""')
        self._rest()
        if any(isinstance(part, bytes) and b"\\u" in part for part in self._skeleton):
            check_characters(whole)
        if not self._texts:
            return whole
        places = {_PLACE % number: text for number, text in enumerate(self._texts)}
        return _restored(self._loads(None), places)

    def _loads(self, place: str | None) -> Any:
        skeleton = b"".join(
            part if isinstance(part, bytes) else (place or json.dumps(_PLACE % part)).encode()
            for part in self._skeleton
        )
        return json.loads(skeleton.decode())

    def _outside(self, data: bytes, at: int) -> int:
        quote = data.find(b'"', at)
        end = len(data) if quote < 0 else quote
        self._keep(data[at:end])
        if quote >= 0:
            self._text = _Text()
        return end + 1

    def _inside(self, data: bytes, at: int, text: "_Text") -> int:
        quote = data.find(b'"', at)
        end = len(data) if quote < 0 else quote
        if data.find(b"\\", at, end) >= 0:
            end = _end(data, at)
        text.add(data[at:end])
        if data[end : end + 1] != b'"':
            if end + _LONGEST_ESCAPE <= len(data):
                return end
            self._left = data[end:]
            return len(data)
        self._text = None
        if text.is_long:
            self._skeleton.append(len(self._texts))
            self._texts.append(text.end())
        else:
            self._keep(b'"%b"' % text.short)
        return end + 1

    def _keep(self, part: bytes) -> None:
        self._skeleton.append(part)
        self._length += len(part) + 1
        if self._length > LONGEST_REST:
            raise ValueError(f"more than {LONGEST_REST >> 10} KiB besides long texts")


def _end(data: bytes, at: int) -> int:
    """Where a text ends, or one span of it. An escape that isn't complete is left for later."""
    span = at + _SPAN
    # The regular expression takes an escape that the span cuts for an incomplete one, and stops
    # before it, so the next call finds it whole. That works only if all of it is in `data`; near
    # the end of `data`, the span is all of the rest.
    match = _INSIDE.match(data, at, span if span + _LONGEST_ESCAPE <= len(data) else len(data))
    return match.end() if match else at


class _Text:
    """A text that comes piece by piece, without its quotes."""

    def __init__(self) -> None:
        self.short = b""
        self._long = LongText()
        self._decode: Callable[[bytes, bool], str] | None = None

    @property
    def is_long(self) -> bool:
        """Whether the text is so long that it is cut out."""
        return self._decode is not None

    def add(self, part: bytes) -> None:
        """The next bytes. They don't end inside an escape or a surrogate pair."""
        if not self.is_long:
            self.short += part
            if len(self.short) <= LONG:
                return
            part, self.short = self.short, b""
        self._read(part)

    def end(self) -> LongText:
        """The whole text, if it is long."""
        self._read(b"", final=True)
        return self._long

    def _read(self, part: bytes, *, final: bool = False) -> None:
        if self._decode is None:
            self._decode = codecs.getincrementaldecoder("utf-8")().decode
        text = json.loads(f'"{self._decode(part, final)}"')
        if b"\\u" in part:
            try:
                text.encode()
            except UnicodeEncodeError as error:
                self._long.mistake = error
        self._long.pieces.append(text)


def _restored(value: Any, places: dict[str, LongText]) -> Any:
    match value:
        case str():
            text = places.get(value)
            if text is not None and text.mistake is not None:
                raise text.mistake
            return value if text is None else text
        case list():
            return [_restored(item, places) for item in value]
        case dict():
            return {_restored(key, places): _restored(item, places) for key, item in value.items()}
    return value


def pieces_of(text: str | LongText) -> Sequence[str]:
    """The pieces of a text, whether it is long or not."""
    return text.pieces if isinstance(text, LongText) else (text,)
