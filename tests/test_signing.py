"""Signatures, compared with RFC 8032, and the file of an identity, compared with openssl."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from nym._secrets import Secret, verify
from nym.errors import IdentityError, LengthError
from nym.signing import Signer, generate_signer, load_signer
from nym.wire.keys import decode_base58

VECTORS = json.loads((Path(__file__).parent / "vectors" / "ed25519.json").read_text())
FILE = "identity.pem"
# RFC 8410, section 10.3
EXAMPLE = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC"
EXAMPLE_KEY = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
L = 2**252 + 27742317777372353535851937790883648493

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl")


def test_there_are_vectors() -> None:
    assert len(VECTORS) == 4


@pytest.mark.parametrize("vector", VECTORS)
def test_signatures_are_those_of_rfc_8032(vector: dict[str, str]) -> None:
    seed, key, message, signature = (bytes.fromhex(value) for value in vector.values())
    signer = Signer(Secret(seed))
    assert signer.public_key == key
    assert signer.sign(message) == signature
    assert verify(key, signature, message)


def test_a_changed_bit_verifies_nothing() -> None:
    signer, message = generate_signer(), b"message"
    signature = signer.sign(message)
    whole = signer.public_key + signature + message
    assert verify(whole[:32], whole[32:96], whole[96:])
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verify(bytes(changed[:32]), bytes(changed[32:96]), bytes(changed[96:]))


def test_a_signature_has_one_form() -> None:
    signer = generate_signer()
    signature = signer.sign(b"message")
    larger = int.from_bytes(signature[32:], "little") + L  # the same modulo l
    assert not verify(signer.public_key, signature[:32] + larger.to_bytes(32, "little"), b"message")


@pytest.mark.parametrize(
    "key",
    [
        bytes([1]).ljust(32, b"\0"),  # the neutral element
        bytes(32),  # of order 4
        (2**255 - 20).to_bytes(32, "little"),  # of order 2
        (2**255 - 18).to_bytes(32, "little"),  # the neutral element, not canonical
    ],
)
def test_a_key_of_low_order_verifies_nothing(key: bytes) -> None:
    neutral = bytes([1]).ljust(32, b"\0")
    # Without the check, this would be a signature of every message: R = A = 0 and s = 0.
    assert not any(verify(key, neutral + bytes(32), bytes([number])) for number in range(64))


def test_lengths_are_checked() -> None:
    signer = generate_signer()
    signature = signer.sign(b"")
    for key, signed in (
        (signer.public_key[:-1], signature),
        (signer.public_key + b"\0", signature),
        (signer.public_key, signature[:-1]),
        (signer.public_key, signature + b"\0"),
        (b"", b""),
    ):
        with pytest.raises(LengthError):
            verify(key, signed, b"")


def test_an_identity_comes_back_and_shows_no_secret(tmp_path: Path) -> None:
    signer = generate_signer()
    path = tmp_path / "node" / FILE
    signer.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    again = load_signer(path)
    assert again.public_key == signer.public_key
    assert again.sign(b"message") == signer.sign(b"message")
    assert decode_base58(again.address) == again.public_key
    assert repr(again) == f"Signer({again.address})"
    assert generate_signer().public_key != signer.public_key


def test_the_example_of_rfc_8410_is_read(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text(f"-----BEGIN PRIVATE KEY-----\n{EXAMPLE}\n-----END PRIVATE KEY-----\n")
    path.chmod(0o644)
    signer = load_signer(path)
    assert signer.public_key.hex() == EXAMPLE_KEY
    assert path.stat().st_mode & 0o777 == 0o600
    signer.save(path)
    assert EXAMPLE in path.read_text()


@needs_openssl
def test_openssl_reads_it_and_its_own_files_are_read(tmp_path: Path) -> None:
    signer = generate_signer()
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    signer.save(ours)

    def public(path: Path) -> bytes:
        command = ("openssl", "pkey", "-in", path, "-pubout", "-outform", "DER")
        return subprocess.run(command, check=True, capture_output=True).stdout[-32:]

    assert public(ours) == signer.public_key
    command = ("openssl", "genpkey", "-algorithm", "ed25519", "-out", theirs)
    subprocess.run(command, check=True)
    assert load_signer(theirs).public_key == public(theirs)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "doesn't begin with"),
        ("garbage", "doesn't begin with"),
        (f"-----BEGIN PRIVATE KEY-----\n{EXAMPLE}\n", "doesn't end with"),
        (f"-----BEGIN PUBLIC KEY-----\n{EXAMPLE}\n-----END PUBLIC KEY-----\n", "doesn't begin"),
        (f"-----BEGIN PRIVATE KEY-----\n{EXAMPLE[:-4]}\n-----END PRIVATE KEY-----\n", "base64"),
        (f"-----BEGIN PRIVATE KEY-----\n{EXAMPLE}AAAA\n-----END PRIVATE KEY-----\n", "base64"),
        # Another algorithm: X25519 is 1.3.101.110.
        (
            "-----BEGIN PRIVATE KEY-----\n"
            f"{EXAMPLE.replace('AwBQYDK2Vw', 'AwBQYDK2Vu')}\n"
            "-----END PRIVATE KEY-----\n",
            "another kind",
        ),
        ("x" * 5000, "more than"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / FILE
    path.write_text(content)
    with pytest.raises(IdentityError, match=f"{FILE} can't be read as a key: .*{why}"):
        load_signer(path)


def test_a_missing_file_is_an_error_with_advice(tmp_path: Path) -> None:
    for path in (tmp_path / FILE, tmp_path / "nowhere" / FILE):
        with pytest.raises(IdentityError, match="openssl genpkey"):
            load_signer(path)
