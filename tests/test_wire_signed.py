"""The header of a signature: one form, and no signature for anything but what was signed."""

import base64
import hashlib
import re

import pytest

from nym._secrets import Secret
from nym.errors import RemoteFormatError
from nym.signing import Signer, Stamps
from nym.wire.keys import encode_base58
from nym.wire.signed import Claim, Purpose, is_run, parse_signature

SIGNER = Signer(Secret(bytes(range(32))))
RUN = "0123456789abcdef0123456789abcdef"
PATH = "/api/presence/mixnodes"
BODY = b'{"host": "192.0.2.1:1789"}'
CLAIMS = [
    Claim(SIGNER.public_key, 1_700_000_000_000),
    Claim(SIGNER.public_key, 1_700_000_000_000, RUN),
    Claim(SIGNER.public_key, 1_700_000_000_000, expires=1_700_000_600_000),
    Claim(SIGNER.public_key, 0, RUN, 999_999_999_999_999),
]


def signed(claim: Claim, purpose: Purpose = "presence", path: str = PATH) -> str:
    return claim.signed(SIGNER.sign, purpose, path, BODY)


def is_good(header: str, purpose: Purpose, path: str, body: bytes) -> bool:
    try:
        claim, signature = parse_signature(header)
    except RemoteFormatError:
        return False
    return claim.is_signed(signature, purpose, path, body)


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_header_comes_back(claim: Claim) -> None:
    header = signed(claim)
    parsed, signature = parse_signature(header)
    assert parsed == claim
    assert parsed.is_signed(signature, "presence", PATH, BODY)
    assert parsed.signed(lambda _: signature, "presence", PATH, BODY) == header


def test_its_form_stays() -> None:
    # Nodes and directories of several versions have to agree about these bytes.
    fields = (
        "v=1; key=FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF; "
        "run=0123456789abcdef0123456789abcdef; created=1700000000000"
    )
    digest = hashlib.sha256(BODY).hexdigest()
    statement = f"Nym-Signature of a Nym 0.4 network\npresence\n{PATH}\n{fields}\n{digest}\n"
    signature = base64.b64encode(SIGNER.sign(statement.encode())).decode()
    assert signed(CLAIMS[1]) == f"{fields}; signature={signature}"


@pytest.mark.parametrize("claim", CLAIMS)
def test_each_bit_of_header_and_body_counts(claim: Claim) -> None:
    header = signed(claim).encode()
    assert is_good(header.decode(), "presence", PATH, BODY)
    for bit in range(8 * len(header)):
        changed = bytearray(header)
        changed[bit // 8] ^= 1 << bit % 8
        assert not is_good(changed.decode("latin-1"), "presence", PATH, BODY), changed
    for bit in range(8 * len(BODY)):
        changed = bytearray(BODY)
        changed[bit // 8] ^= 1 << bit % 8
        assert not is_good(header.decode(), "presence", PATH, bytes(changed))
    assert not is_good(header.decode(), "presence", PATH, BODY + b" ")


def test_a_signature_for_one_thing_is_none_for_another() -> None:
    header = signed(CLAIMS[1])
    for purpose in ("leaving", "metrics", "topology"):
        assert not is_good(header, purpose, PATH, BODY)
    for path in ("/api/presence/mixproviders", PATH + "/", "", "/api/presence/topology"):
        assert not is_good(header, "presence", path, BODY)


def test_other_forms_are_refused() -> None:
    good = signed(CLAIMS[3])
    key, text = encode_base58(SIGNER.public_key), good.rpartition("signature=")[2]
    parse_signature(good)
    for changed in (
        "",
        good + " ",
        " " + good,
        good + "\n",
        good.replace("; ", ";"),
        good.replace("; ", ";  "),
        good.replace("v=1", "v=2"),
        good.replace("v=1", "V=1"),
        good.replace("created=0", "created=00"),
        good.replace("created=0", "created=-1"),
        good.replace("created=0", "created=1" + "0" * 15),
        good.replace("created=0", "created=٣"),
        good.replace("created=0; ", ""),
        good.replace(f"key={key}; ", ""),
        good.replace(key, key[:-1]),
        good.replace(key, "1" + key),
        good.replace(key, key + " "),
        good.replace(RUN, RUN[:-1]),
        good.replace(RUN, RUN.upper()),
        good.replace(f"; run={RUN}; created=0", f"; created=0; run={RUN}"),
        good.replace("signature=" + text, "signature="),
        good.replace(text, text[:-4]),
        good.replace(text, text + text),
        good.replace(text, text.replace("==", "=")),
        # The same bytes with other unused bits.
        good.replace(text, re.sub(".==$", lambda m: chr(ord(m[0][0]) + 1) + "==", text)),
        good + "; " + good,
        good + ", " + good,
        "x" * 100_000,
    ):
        with pytest.raises(RemoteFormatError, match="isn't in its form"):
            parse_signature(changed)
    assert len(base64.b64decode(text)) == 64


def test_runs_have_one_form() -> None:
    assert is_run(RUN)
    for other in ("", RUN[:-1], RUN + "0", RUN.upper(), RUN + "\n", "; key=" + RUN[6:]):
        assert not is_run(other)


def test_stamps_only_grow() -> None:
    times = iter([1.0, 1.0, 5.5, 2.0, 5.502, 9.0])
    stamps = Stamps(lambda: next(times))
    assert [stamps.next() for _ in range(6)] == [1000, 1001, 5500, 5501, 5502, 9000]
