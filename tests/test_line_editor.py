"""The line that is typed in a chat: keys in, lines and a picture out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.cli.line_editor import LONGEST, PROMPT, LineEditor


@pytest.mark.parametrize(
    ("typed", "lines", "left"),
    [
        (b"hello\n", ["hello"], ""),
        (b"one\ntwo\nthr", ["one", "two"], "thr"),
        (b"\n", [""], ""),
        (b"abc\x7f\x08d", [], "ad"),
        (b"\x7f\n", [""], ""),
        (b"one two \x17", [], "one "),
        (b"one\x15two", [], "two"),
        (b"a\tb", [], "a b"),
        ("Grüße 🌻\n".encode(), ["Grüße 🌻"], ""),
        ("e\u0301\x7f".encode(), [], ""),  # a letter and its accent are one character
        (b"a\x1b[Ab\x1b[3~c\x1bOHd", [], "abcd"),  # arrows and other keys do nothing
        (b"a\x00\x07\x1bxb", [], "ab"),
        (b"\xff", [], "\ufffd"),
    ],
)
def test_what_is_typed(typed: bytes, lines: list[str], left: str) -> None:
    for size in (1, len(typed)):
        editor = LineEditor()
        found = []
        for start in range(0, len(typed), size):
            found += editor.feed(typed[start : start + size])
        assert (found, editor.text) == (lines, left)
        assert not editor.is_over


def test_control_d_ends_only_an_empty_line() -> None:
    editor = LineEditor()
    assert editor.feed(b"a\x04") == []
    assert not editor.is_over
    editor.feed(b"\n\x04")
    assert editor.is_over


def test_a_line_has_an_end_whatever_is_pasted() -> None:
    editor = LineEditor()
    (line,) = editor.feed(b"x" * (LONGEST + 1000) + b"\n")
    assert len(line) == LONGEST


@given(st.binary(max_size=200), st.integers(1, 60))
def test_any_bytes_make_lines_and_a_picture(typed: bytes, columns: int) -> None:
    editor = LineEditor()
    for line in [*editor.feed(typed), editor.text]:
        assert "\n" not in line
        assert "\x1b" not in line
    assert editor.picture(columns).startswith(PROMPT)


@pytest.mark.parametrize(
    ("text", "shown"), [("abcdefgh", "defgh"), ("日本語日本", "日本"), ("a", "a")]
)
def test_the_picture_is_the_end_of_the_line_and_fits(text: str, shown: str) -> None:
    editor = LineEditor()
    editor.feed(text.encode())
    assert editor.picture(len(PROMPT) + 6) == PROMPT + shown
