"""Makes two bundles from one: WHOLE has another program in it, and SMALL only few members."""

import struct
import sys
from pathlib import Path

import zstandard

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "spec"))

import bundle

SMALL = 20_000  # bytes of a member; few are enough, because each is read for each damage
FEW = 20


def members(data: bytes) -> dict[str, bytes]:
    """What a bundle has; spec/bundle.h has its layout."""
    found = {}
    first = bundle.HEAD.size + bundle.CHECKSUM.size
    for i in range(struct.unpack_from("<Q", data, 8)[0]):
        at = first + bundle.RECORD.size * i
        name, place, packed, _ = bundle.RECORD.unpack_from(data, at)
        text = data[name : data.index(b"\0", name)].decode()
        found[text] = zstandard.decompress(data[place : place + packed])
    return found


def main(source: str, program: str, whole: str, small: str) -> None:
    """Write both."""
    bundle.LEVEL = 1  # quick: nobody keeps these
    found = members(Path(source).read_bytes())
    found[bundle.PROGRAM] = Path(program).read_bytes()
    Path(whole).write_bytes(bundle.packed(found))
    names = [name for name, data in found.items() if len(data) < SMALL][:FEW]
    Path(small).write_bytes(bundle.packed({name: found[name] for name in names}))


main(*sys.argv[1:])
