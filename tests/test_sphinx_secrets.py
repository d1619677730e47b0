"""Nothing secret stays on the C stack, whatever way a function takes."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nym import errors, sphinx

VECTORS = Path(__file__).parent / "vectors"
CASE = max(
    json.loads((VECTORS / "sphinx_packets.json").read_text()), key=lambda case: len(case["hops"])
)
ROUTE = [
    sphinx.Hop(bytes.fromhex(hop["address"]), bytes.fromhex(hop["public_key"]), hop["delay_ns"])
    for hop in CASE["route"]
]
PACKET = bytes.fromhex(CASE["packet"])
PRIVATE_KEY = bytes.fromhex(CASE["route"][0]["private_key"])


def stack() -> bytes:
    """The whole stack of this process, what lies below its end included."""
    maps = Path("/proc/self/maps").read_text()
    match = re.search(r"^([0-9a-f]+)-([0-9a-f]+) .*\[stack\]$", maps, re.MULTILINE)
    assert match is not None
    begin, end = int(match[1], 16), int(match[2], 16)
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        memory.seek(begin)
        return memory.read(end - begin)


def left_behind(secrets: list[str]) -> list[str]:
    """Those of the secrets, in hex, of which a half can be found on the stack."""
    content = stack()
    halves = {secret: bytes.fromhex(secret[: len(secret) // 2]) for secret in secrets}
    return [secret for secret, half in halves.items() if half in content]


def hop_secrets(hops: list[dict[str, dict[str, str]]]) -> list[str]:
    secrets = [str(hop["shared_secret"]) for hop in hops]
    for hop in hops:
        secrets += [hop["keys"][name] for name in ("stream_key", "mac_key", "payload_key")]
        secrets.append(hop["keys"]["blinding_factor"])
    return secrets


def create() -> None:
    secret, padding, message, destination = (
        bytes.fromhex(CASE[name]) for name in ("secret", "padding", "message", "destination")
    )
    packet = sphinx.create_packet(message, ROUTE, destination, secret=secret, padding=padding)
    assert packet == PACKET


def process() -> None:
    sphinx.process_packet(PACKET, PRIVATE_KEY)


def refuse() -> None:
    with pytest.raises(errors.MacError):
        sphinx.process_packet(PACKET[:32] + bytes(16) + PACKET[48:], PRIVATE_KEY)


@pytest.mark.parametrize(
    ("work", "hops"), [(create, CASE["hops"]), (process, CASE["hops"][:1]), (refuse, [])]
)
def test_keys_are_wiped(work: Callable[[], None], hops: list[dict[str, dict[str, str]]]) -> None:
    secrets = hop_secrets(hops or CASE["hops"][:1])
    assert not left_behind(secrets), "of another test"
    work()
    assert not left_behind(secrets)


def test_the_search_finds_what_is_there() -> None:
    create()
    assert left_behind([CASE["destination"]]), "which isn't secret, and isn't wiped"
