"""Text from peers, made safe for a terminal or a log.

What a directory, a node, a provider or a sender says is data. If it was printed unchanged, it could
move the cursor, colour the screen, begin a line that looks like one of this program's, or reverse
the order of the characters beside it. So every such text passes `visible` before people see it.
"""

import re
import unicodedata

LONGEST = 200  # characters
_CUT = "…"
_CREDENTIALS = re.compile(r"(?<=//)[^/?#\s]*@")  # between a URL's scheme and its host

# Unicode categories: controls; formats, such as zero-width characters and those that change the
# writing direction; surrogates; private use; unassigned; line and paragraph separators.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters and marks that are invisible although their category isn't one of those.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
# Zero-width joiners are part of ordinary text between letters of Arabic and Indic scripts, and
# inside emoji, so they stay there.
_JOINED = re.compile(
    "(?<=[\u0600-\u1fff\u2190-\u2bff\ufb50-\ufeef\U0001f000-\U0001faff\ufe0f])[\u200c\u200d]"
    "(?=[\u0600-\u1fff\u2190-\u2bff\ufb50-\ufeef\U0001f000-\U0001faff])"
)


def visible(text: str, longest: int = LONGEST) -> str:
    r"""`text` on one line, with invisible characters written as `\x1b` or `\u202e`.

    The result has at most `longest` characters. A text that was cut ends with an ellipsis. Ordinary
    text in any language doesn't change, and neither does a result of this function.
    """
    if len(text) <= longest and text.isascii() and text.isprintable():
        return text
    text = text[: longest + 1]  # the rest can't be shown: each character makes at least one
    joiners = {match.start() for match in _JOINED.finditer(text)}
    shown: list[str] = []
    length = cut_at = 0  # how much of `shown` leaves room for the ellipsis
    for index, character in enumerate(text):
        piece = character if index in joiners else _shown(character)
        length += len(piece)
        if length > longest:
            return "".join(shown[:cut_at]) + _CUT
        shown.append(piece)
        if length < longest and index not in joiners:
            cut_at = len(shown)
    return "".join(shown)


def without_credentials(text: str) -> str:
    """A URL, or a text with URLs in it, without user names and passwords."""
    return _CREDENTIALS.sub("", text)


def visible_url(url: str) -> str:
    """A URL for people to see: without user name and password, and made safe."""
    return visible(without_credentials(url))


def _shown(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN_CATEGORIES or character in _BLANK:
        return character.encode("unicode_escape").decode("ascii")
    return character
