"""The primitives that packets are made of, compared with RFCs, NIST's vectors and Wycheproof.

tests/primitives.pyx calls them one by one. Where packets fix a parameter to a value that no vector
has, the library's function has to agree with the vectors, and the packets' call with another
implementation.
"""

import ctypes
import ctypes.util
import hashlib
import hmac
import json
import random
from pathlib import Path
from typing import Any

import pysodium
import pytest

from nym import _ciphers, sphinx
from nym._secrets import Secret
from nym.errors import GroupElementError
from tests.extensions import extension

HERE = Path(__file__).parent
PRIMITIVES = extension(HERE / "primitives.pyx")
CHANCE = random.Random(20)


def load(name: str) -> Any:
    return json.loads((HERE / "vectors" / name).read_text())


def unhex(case: dict[str, str], *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


X25519 = load("x25519.json")
HKDF = load("hkdf_sha256.json")
HMAC = load("hmac_sha256.json")
AES = load("aes_128.json")
CHACHA20 = load("chacha20.json")
BLAKE2B = load("blake2b.json")
ITERATED = {  # how often, and what it gives: RFC 7748, section 5.2
    1: "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
    1000: "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
}
# NIST SP 800-38A, F.5.1
CTR_KEY = "2b7e151628aed2a6abf7158809cf4f3c"
CTR_COUNTER = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
CTR_BLOCKS = {
    "6bc1bee22e409f96e93d7e117393172a": "874d6191b620e3261bef6864990db6ce",
    "ae2d8a571e03ac9c9eb76fac45af8e51": "9806f66b7970fdff8617187bb9fffdff",
    "30c81c46a35ce411e5fbc1191a0a52ef": "5ae4df3edbd5d35e5b4f09020db03eab",
    "f69f2445df4f9b17ad2b417be66c3710": "1e031dda2fbe03d1792170a0f3009cee",
}
# RFC 7693, appendix A
ABC = (
    "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
    "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"
)


def test_every_set_has_cases() -> None:
    assert len(X25519) == 518
    assert sum(not any(bytes.fromhex(case["shared"])) for case in X25519) == 31
    assert (len(HKDF["rfc_5869"]), len(HKDF["wycheproof"])) == (3, 78)
    assert (len(HMAC), len(AES), len(CHACHA20), len(BLAKE2B)) == (7, 149, 4, 256)


def clamped(scalar: bytes) -> bytes:
    """What X25519 makes of a private key before it multiplies (RFC 7748, section 5)."""
    number = bytearray(scalar)
    number[0] &= 0xF8
    number[31] = number[31] & 0x7F | 0x40
    return bytes(number)


def test_products_by_clamped_scalars_are_x25519s() -> None:
    for case in X25519:
        private_key, point, shared = unhex(case, "private_key", "public_key", "shared")
        if any(shared):
            assert sphinx.multiply(clamped(private_key), point) == shared, case
            assert sphinx.multiply(Secret(clamped(private_key)), point) == shared
        else:  # for each point of low order; RFC 7748, section 6.1, lets this be refused
            with pytest.raises(GroupElementError):
                sphinx.multiply(clamped(private_key), point)


@pytest.mark.parametrize("times", ITERATED)
def test_products_of_products_are_x25519s(times: int) -> None:
    k = u = (9).to_bytes(32, "little")
    for _ in range(times):
        k, u = sphinx.multiply(clamped(k), u), k
    assert k.hex() == ITERATED[times]


@pytest.mark.parametrize("case", HMAC)
def test_hmac_is_that_of_rfc_4231(case: dict[str, str]) -> None:
    key, data, expected = unhex(case, "key", "data", "mac")
    if len(key) <= PRIMITIVES.LONGEST_KEY:
        assert PRIMITIVES.hmac_sha256(key, data)[: len(expected)] == expected
    # What the next test compares with
    assert hmac.digest(key, data, "sha256")[: len(expected)] == expected


def test_a_headers_mac_is_hmac_shortened() -> None:
    for _ in range(100):
        key, beta = CHANCE.randbytes(16), CHANCE.randbytes(300)
        assert PRIMITIVES.header_mac_of(key, beta) == hmac.digest(key, beta, "sha256")[:16]


@pytest.mark.parametrize("case", HKDF["rfc_5869"] + HKDF["wycheproof"])
def test_hkdf_is_that_of_rfc_5869(case: dict[str, str]) -> None:
    ikm, salt, info, okm = unhex(case, "ikm", "salt", "info", "okm")
    assert hkdf(ikm, salt, info, len(okm)) == okm
    if len(salt) > PRIMITIVES.LONGEST_KEY or len(info) > PRIMITIVES.LONGEST_INFO:
        return
    key = PRIMITIVES.hmac_sha256(salt, ikm)
    if "prk" in case:
        assert key.hex() == case["prk"]
    assert PRIMITIVES.hkdf_expand(key, info, -(-len(okm) // 32))[: len(okm)] == okm


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256."""
    key = hmac.digest(salt, ikm, "sha256")
    out = block = b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + bytes([number]), "sha256")
        out += block
    return out[:length]


def test_a_hops_keys_are_hkdfs() -> None:
    info = (
        b"Dwste mou enan moxlo arketa makru kai ena upomoxlio "
        b"gia na ton topothetisw kai tha kinisw thn gh."
    )
    for _ in range(100):
        shared = CHANCE.randbytes(32)
        assert b"".join(_ciphers.hop_keys(shared)) == hkdf(shared, b"", info, 256)


def test_aes_is_nists() -> None:
    """Packets count from 0, so their first 16 bytes are what AES makes of zeros."""
    for case in AES:
        key, block = unhex(case, "key", "block")
        assert PRIMITIVES.aes_keystream(key)[:16] == block


def test_aes_ctr_is_that_of_sp_800_38a() -> None:
    """F.5.1 begins at another number than packets do: so libcrypto's function is asked for it."""
    plaintext, expected = (
        bytes.fromhex("".join(blocks)) for blocks in (CTR_BLOCKS, CTR_BLOCKS.values())
    )
    assert aes_ctr(bytes.fromhex(CTR_KEY), bytes.fromhex(CTR_COUNTER), plaintext) == expected
    for _ in range(100):
        key = CHANCE.randbytes(16)
        counted = [aes_ctr(key, i.to_bytes(16, "big"), bytes(16)) for i in range(23)]
        assert PRIMITIVES.aes_keystream(key) == b"".join(counted)[:360]


def aes_ctr(key: bytes, counter: bytes, data: bytes) -> bytes:
    """AES-128-CTR by the library that the extensions link."""
    crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
    for name in ("EVP_CIPHER_fetch", "EVP_CIPHER_CTX_new"):
        getattr(crypto, name).restype = ctypes.c_void_p
    cipher = ctypes.c_void_p(crypto.EVP_CIPHER_fetch(None, b"AES-128-CTR", None))
    context = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new())
    out, written = ctypes.create_string_buffer(len(data)), ctypes.c_int()
    assert crypto.EVP_EncryptInit_ex2(context, cipher, key, counter, None) == 1
    assert crypto.EVP_EncryptUpdate(context, out, ctypes.byref(written), data, len(data)) == 1
    crypto.EVP_CIPHER_CTX_free(context)
    crypto.EVP_CIPHER_free(cipher)
    return out.raw[: written.value]


@pytest.mark.parametrize("case", CHACHA20)
def test_chacha20_is_that_of_rfc_8439(case: dict[str, Any]) -> None:
    """With a nonce of zeros and less than 2^32 blocks, it is the same as the original one."""
    key, block = unhex(case, "key", "block")
    start = 64 * case["block_number"]
    assert PRIMITIVES.chacha20_keystream(key)[start : start + 64] == block


def test_blake2b_is_that_of_rfc_7693_and_of_its_authors() -> None:
    assert pysodium.crypto_generichash(b"abc", outlen=64).hex() == ABC
    key = bytes(range(64))
    for case in BLAKE2B:
        data, digest = bytes(range(case["length"])), bytes.fromhex(case["digest"])
        assert pysodium.crypto_generichash(data, key, 64) == digest
        assert hashlib.blake2b(data, key=key).digest() == digest


def test_a_payloads_blake2b_is_another_implementations() -> None:
    for _ in range(100):
        key, data = CHANCE.randbytes(64), CHANCE.randbytes(992)
        expected = hashlib.blake2b(data, key=key, digest_size=32).digest()
        assert PRIMITIVES.keyed_blake2b(key, data) == expected
