"""What programs may give: a mistake is named before anything of it reaches the client.

Each function takes the name of a parameter and what was given for it. It returns that in the form
in which it is used, if there is one, and raises TypeError or ValueError.
"""

from types import CodeType

_HIGHEST_PORT = 65535
# The flag of code that makes coroutines. inspect has it, too, but takes long to import.
_CO_COROUTINE = 0x80


def text(name: str, value: str) -> str:
    """A text, such as the id of a message."""
    if not isinstance(value, str):
        raise _wrong(name, "a str", value)
    return value


def content(name: str, value: str | bytes) -> bytes:
    """A message, in bytes."""
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes | bytearray | memoryview):
        raise _wrong(name, "a str or bytes", value)
    return bytes(value)


def choice(name: str, value: bool) -> bool:
    """Yes or no: what only counts as such may be a mistake, as the text "no"."""
    if not isinstance(value, bool):
        raise _wrong(name, "a bool", value)
    return value


def seconds(name: str, value: float) -> float:
    """A time to wait. Below 0 is none at all, as for what was due already."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "a number of seconds", value)
    if value != value:
        raise ValueError(f"{name} must be a number of seconds, not {value}")
    return value


def port(name: str, value: int) -> None:
    """The number of a port."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, "an int", value)
    if not 1 <= value <= _HIGHEST_PORT:
        raise ValueError(f"{name} must be between 1 and {_HIGHEST_PORT}, not {value}")


def word(name: str, value: str) -> str:
    """One word, without the end of its line, as files have one."""
    # What stood in another line would be taken for a request.
    if len(words := text(name, value).split()) != 1:
        raise ValueError(f"{name} must be one word, as in the client's token file")
    return words[0]


def callback(name: str, value: object) -> None:
    """What is called with news, if it isn't None."""
    if value is not None and not callable(value):
        raise _wrong(name, "a function", value)
    code = getattr(value, "__code__", None)
    if isinstance(code, CodeType) and code.co_flags & _CO_COROUTINE:
        raise TypeError(f"{name} is called without await, so it must not be an async function")


def _wrong(name: str, kind: str, value: object) -> TypeError:
    # Without the value, which may be a secret.
    return TypeError(f"{name} must be {kind}, not {type(value).__name__}")
