"""Other people's text made visible, before it reaches a terminal or a log."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.wire.text import visible

TEXTS = st.text(st.characters(codec=None))  # without a codec, surrogates occur, too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("ok\r\nok    forged    line:5", r"ok\r\nok    forged    line:5"),
        ("a\tb\0c\x7fd\x9be", r"a\tb\x00c\x7fd\x9be"),
        ("ab\u202ecd\u2066", r"ab\u202ecd\u2066"),
        ("line\u2028paragraph\u2029next\x85", r"line\u2028paragraph\u2029next\x85"),
        ("zero\u200bwidth\ufeff\u2060", r"zero\u200bwidth\ufeff\u2060"),
        ("nym\u200d.example\u200c", r"nym\u200d.example\u200c"),
        ("soft\xadhyphen", r"soft\xadhyphen"),
        ("\ud800", r"\ud800"),
        ("\ue000\U000e0041\U0010ffff", r"\ue000\U000e0041\U0010ffff"),
        ("\u3164\u2800", r"\u3164\u2800"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        r"C:\x1b is a name",
        "naïve café — “quotes” … 5 €, à 10\u202f%",
        "Ελληνικά, кириллица, עברית, العربية, हिन्दी, ไทย, 日本語\u3000の、한국어",
        "می\u200cخواهم क्\u200dष",  # noqa: RUF001 - Persian and Hindi need joiners
        "👩\u200d🚀 ❤\ufe0f\u200d🔥 👍🏽",
        "n\u0303 e\u0301",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_a_long_text_is_cut_and_marked() -> None:
    assert visible("a" * 200) == "a" * 200
    assert visible("a" * 201) == "a" * 199 + "…"
    assert visible("a" * 10_000_000, longest=10) == "aaaaaaaaa…"
    assert visible("م\u200c" * 9, longest=3) == "م…"  # the cut leaves no joiner without a letter
    assert visible("abcdef\x1b\x1b", longest=10) == "abcdef…"  # the cut doesn't split an escape


@given(TEXTS, st.integers(1, 40))
def test_it_is_short_has_nothing_hidden_and_is_stable(text: str, longest: int) -> None:
    shown = visible(text, longest)
    assert len(shown) <= longest
    assert visible(shown, longest) == shown
    for character in shown:
        if character not in "\u200c\u200d":
            assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    shown.encode()  # raises nothing, so the text can be written


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], codec="utf-8")))
def test_letters_digits_and_signs_are_left_alone(text: str) -> None:
    blank = "\u115f\u1160\u2800\u3164\uffa0"
    if not set(text) & set(blank):
        assert visible(text, len(text) + 1) == text
