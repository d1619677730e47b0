"""Each target of tests/fuzz/run reads what it begins with, and refuses or reads what is near to it.

Without coverage, and with few inputs: that the targets are in order, not that the parsers are.
"""

import random

import pytest

from tests.fuzz.targets import Target, all_targets

TARGETS = all_targets()
INPUTS = 100


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_reads_or_refuses(name: str) -> None:
    target, chance = TARGETS[name], random.Random(name)
    seeds = target.seeds()
    assert seeds
    assert all(len(seed) <= target.longest for seed in seeds)
    read = [target.try_on(seed) for seed in seeds]
    assert any(read)
    for _ in range(INPUTS):
        target.try_on(damaged(chance.choice(seeds), chance))
    for data in (b"", b"\0", b"\xff" * 40):
        target.try_on(data)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The same with a byte changed, with some left out, or with some twice."""
    changed, at = bytearray(data), chance.randrange(len(data) + 1)
    match chance.randrange(3):
        case 0:
            changed[at : at + 1] = chance.randbytes(1)
        case 1:
            del changed[at : at + chance.randrange(1, 50)]
        case 2:
            changed[at:at] = data[: chance.randrange(50)]
    return bytes(changed)


def test_what_a_target_must_not_raise_gets_out() -> None:
    empty: dict[str, object] = {}
    with pytest.raises(KeyError):
        Target(lambda _: empty["nothing"], ValueError, list).try_on(b"")
