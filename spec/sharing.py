"""Lets a module in Python's marshal format have each of its constants only once.

CPython has one object for equal constants of a module, such as the names that functions look up.
But for each function, it makes the tuple of its variables and the bytes with their kinds anew. In
the marshal format, a further place of an object has the number of the first one. So all equal
objects can become one, and nothing else changes: they are immutable. Code stays as it is.
"""

from collections import Counter

# An object as it is written: its kind, then bytes, and numbers of other objects.
_Object = tuple[str, tuple[bytes | int, ...]]

_IS_NUMBERED = 0x80  # the flag of an object that a further place refers to
_FIXED = {"N": 0, "F": 0, "T": 0, "S": 0, ".": 0, "i": 4, "g": 8, "y": 16}  # bytes of each
_CODE_COUNTS = 5 * 4  # bytes of its counts of arguments, its stack and its flags


def shared(data: bytes) -> bytes:
    """The same object, in marshal's format as before, with each constant once."""
    reader = _Reader(data)
    whole = reader.read()
    return _Writer(reader.objects).written(whole)


class _Reader:
    """Gives each object a number, which is its place in `objects`; equal ones have the same."""

    def __init__(self, data: bytes) -> None:
        self.objects: list[_Object] = []
        self._numbers: dict[_Object, int] = {}
        self._data = data
        self._at = 0
        self._numbered: list[int] = []

    def read(self) -> int:
        """The number of the next object."""
        first = self._bytes(1)[0]
        kind = chr(first & ~_IS_NUMBERED)
        if kind == "r":
            return self._numbered[int.from_bytes(self._bytes(4), "little")]
        place = len(self._numbered)
        if first & _IS_NUMBERED:
            self._numbered.append(-1)
        found = kind, self._pieces(kind)
        number = len(self.objects)
        if kind != "c":
            number = self._numbers.setdefault(found, number)
        if number == len(self.objects):
            self.objects.append(found)
        if first & _IS_NUMBERED:
            self._numbered[place] = number
        return number

    def _pieces(self, kind: str) -> tuple[bytes | int, ...]:
        if kind in _FIXED:
            return (self._bytes(_FIXED[kind]),)
        if kind == "c":
            counts, objects = self._bytes(_CODE_COUNTS), self._objects(8)
            return (counts, *objects, self._bytes(4), *self._objects(2))  # 4: its first line
        size = self._bytes(1 if kind in "zZ)" else 4)
        length = int.from_bytes(size, "little", signed=kind == "l")
        if kind in "()<>[":
            return (size, *self._objects(length))
        if kind == "l":
            length = 2 * abs(length)
        elif kind not in "stuaAzZ":
            raise ValueError(
                f"marshal's format has a kind of object that isn't known here: {kind!r}"
            )
        return (size, self._bytes(length))

    def _objects(self, number: int) -> list[int]:
        return [self.read() for _ in range(number)]

    def _bytes(self, number: int) -> bytes:
        self._at += number
        return self._data[self._at - number : self._at]


class _Writer:
    def __init__(self, objects: list[_Object]) -> None:
        self._objects = objects
        places = Counter(piece for _, found in objects for piece in found if isinstance(piece, int))
        self._many = {number for number, times in places.items() if times > 1}
        self._references: dict[int, bytes] = {}

    def written(self, number: int) -> bytes:
        """The object, or a reference to its first place."""
        if number in self._references:
            return self._references[number]
        kind, pieces = self._objects[number]
        first = ord(kind)
        if number in self._many and kind not in "NFTS.":
            self._references[number] = b"r" + len(self._references).to_bytes(4, "little")
            first |= _IS_NUMBERED
        return bytes([first]) + b"".join(
            self.written(piece) if isinstance(piece, int) else piece for piece in pieces
        )
