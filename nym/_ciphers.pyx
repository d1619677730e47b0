# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""The keys and ciphers of one hop: HKDF, HMAC, AES-128-CTR, LIONESS (docs/protocol/sphinx.md).

The ciphers run with fixed nonces and counters. That is safe, because each key is derived for one
hop of one packet, and used there once.

Temporary secrets are in the caller's `CipherWork` and `HopKeys`, so the caller can wipe all of them
at once.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy, memset

from nym._checks cimport NO_CIPHER, OK, byte, take
from nym._crypto cimport (
    EVP_CIPHER, EVP_CIPHER_fetch, EVP_EncryptInit_ex2, EVP_EncryptUpdate, SHA256_Final,
    SHA256_Init, SHA256_Update,
)
from nym._sodium cimport (
    crypto_generichash_blake2b, crypto_stream_chacha20_xor, sodium_memcmp, sodium_memzero,
)

cdef byte ZEROS[16]
cdef byte INFO[SEED]
cdef HmacKey NO_SALT
cdef EVP_CIPHER *AES_128_CTR

# The protocol fixes this text as HKDF's info; every node uses the same. It is Archimedes' saying
# about a lever that moves the Earth, in transliterated Greek.
_SEED = (
    b"Dwste mou enan moxlo arketa makru kai ena upomoxlio "
    b"gia na ton topothetisw kai tha kinisw thn gh."
)


def _prepare():
    global AES_128_CTR
    AES_128_CTR = EVP_CIPHER_fetch(NULL, b"AES-128-CTR", NULL)
    if AES_128_CTR is NULL:
        raise ImportError("libcrypto has no AES-128-CTR")
    memset(ZEROS, 0, sizeof(ZEROS))
    take(INFO, _SEED, SEED, "the seed")
    cdef CipherWork work
    cdef byte no_salt[DIGEST]
    memset(no_salt, 0, DIGEST)
    hmac_key(&work, no_salt, DIGEST)
    NO_SALT.inner = work.hmac.inner
    NO_SALT.outer = work.hmac.outer


# HMAC and HKDF over SHA-256. The two states after hashing the padded keys are kept and copied for
# each message under the same key. This halves the number of compressions for a short message.
#
# libcrypto recommends EVP_MD and EVP_MAC instead of SHA256_*. Their states are behind pointers, and
# are copied by allocating: a hop's keys would take 1.7 or 2.3 times as long (`python -m benchmarks
# hkdf`), and secrets would lie on the heap, where no owner wipes them. AES goes through EVP.


cdef void hmac_key(CipherWork *w, const byte *key, int length) noexcept nogil:
    # Sets w.hmac. HMAC hashes keys of more than 64 bytes first; all keys here are shorter.
    cdef int i
    memset(w.padded_key, 0x36, SHA_BLOCK)
    for i in range(length):
        w.padded_key[i] ^= key[i]
    SHA256_Init(&w.hmac.inner)
    SHA256_Update(&w.hmac.inner, w.padded_key, SHA_BLOCK)
    for i in range(SHA_BLOCK):
        w.padded_key[i] ^= 0x36 ^ 0x5c  # from the inner padding to the outer one
    SHA256_Init(&w.hmac.outer)
    SHA256_Update(&w.hmac.outer, w.padded_key, SHA_BLOCK)


cdef void hmac(CipherWork *w, byte *out, const HmacKey *key, const byte *data,
               size_t length) noexcept nogil:
    # Writes 32 bytes to `out`, which may overlap `data`: `data` is read before `out` is written.
    w.sha = key.inner
    SHA256_Update(&w.sha, data, length)
    SHA256_Final(w.digest, &w.sha)
    w.sha = key.outer
    SHA256_Update(&w.sha, w.digest, DIGEST)
    SHA256_Final(out, &w.sha)


cdef void expand(CipherWork *w, byte *out, int blocks, const byte *info, int length) noexcept nogil:
    # RFC 5869's second step, under the key in w.hmac: so many whole blocks. `info` has at most SEED
    # bytes.
    cdef byte *text = w.expand + DIGEST
    cdef int i
    memcpy(text, info, length)
    for i in range(blocks):
        # Block i + 1 is the HMAC of: the block before (none for the first) | info | i + 1.
        text[length] = <byte>(i + 1)
        if i == 0:
            hmac(w, w.expand, &w.hmac, text, length + 1)
        else:
            hmac(w, w.expand, &w.hmac, w.expand, DIGEST + length + 1)
        memcpy(out + i * DIGEST, w.expand, DIGEST)


cdef void derive_keys(CipherWork *w, HopKeys *keys, const byte *shared) noexcept nogil:
    # RFC 5869: extract with an empty salt, then expand. Its output fills HopKeys in order.
    hmac(w, w.digest, &NO_SALT, shared, 32)
    hmac_key(w, w.digest, DIGEST)
    expand(w, <byte *>keys, sizeof(HopKeys) // DIGEST, INFO, SEED)


cdef void header_mac(
    CipherWork *w, byte *out, const HopKeys *keys, const byte *beta
) noexcept nogil:
    hmac_key(w, keys.mac, 16)
    hmac(w, w.digest, &w.hmac, beta, BETA)
    memcpy(out, w.digest, MAC)


cdef bint is_header_mac(
    CipherWork *w, const byte *gamma, const HopKeys *keys, const byte *beta
) noexcept nogil:
    # In constant time: the time of a comparison that stops early would help to forge.
    header_mac(w, w.mac, keys, beta)
    return sodium_memcmp(w.mac, gamma, MAC) == 0


cdef int stream_xor(CipherWork *w, byte *out, const byte *data, int length,
                    const HopKeys *keys) noexcept nogil:
    # out = data ^ rho, so rho itself if `data` is zero.
    cdef int written = 0
    if EVP_EncryptInit_ex2(w.aes, AES_128_CTR, keys.stream, ZEROS, NULL) != 1:
        return NO_CIPHER
    if EVP_EncryptUpdate(w.aes, out, &written, data, length) != 1 or written != length:
        return NO_CIPHER
    return OK


cdef void xor(byte *target, const byte *other, int length) noexcept nogil:
    cdef int i
    for i in range(length):
        target[i] ^= other[i]


# LIONESS makes one block cipher of the whole payload: two rounds each change the right part by the
# left one and the left part by the right one, so a changed bit anywhere changes everything.


cdef void chacha_round(CipherWork *w, byte *block, const byte *key) noexcept nogil:
    memcpy(w.round_key, block, LEFT)
    xor(w.round_key, key, LEFT)
    crypto_stream_chacha20_xor(block + LEFT, block + LEFT, RIGHT, ZEROS, w.round_key)


cdef void blake_round(CipherWork *w, byte *block, const byte *key) noexcept nogil:
    crypto_generichash_blake2b(w.round_key, LEFT, block + LEFT, RIGHT, key, 64)
    xor(block, w.round_key, LEFT)


cdef void encrypt_payload(CipherWork *w, byte *block, const HopKeys *keys) noexcept nogil:
    chacha_round(w, block, keys.payload)
    blake_round(w, block, keys.payload + 32)
    chacha_round(w, block, keys.payload + 96)
    blake_round(w, block, keys.payload + 128)


cdef void decrypt_payload(CipherWork *w, byte *block, const HopKeys *keys) noexcept nogil:
    blake_round(w, block, keys.payload + 128)
    chacha_round(w, block, keys.payload + 96)
    blake_round(w, block, keys.payload + 32)
    chacha_round(w, block, keys.payload)


# Single steps for Python. Only tests call them, with the published vectors for each step.


def hop_keys(shared_secret):
    """(stream key, MAC key, payload key, blinding factor) from a shared secret of 32 bytes."""
    cdef CipherWork work
    cdef HopKeys keys
    cdef byte shared[32]
    take(shared, shared_secret, 32, "a shared secret")
    derive_keys(&work, &keys, shared)
    cdef bytes expanded = (<const char *>&keys)[:sizeof(keys)]
    sodium_memzero(&work, sizeof(work))
    sodium_memzero(&keys, sizeof(keys))
    sodium_memzero(shared, sizeof(shared))
    return expanded[:16], expanded[16:32], expanded[32:224], expanded[224:]


def lioness_encrypt(key, block):
    """Encrypt one block of 1024 bytes with a key of 192 bytes."""
    return _lioness(key, block, True)


def lioness_decrypt(key, block):
    """The inverse of `lioness_encrypt`."""
    return _lioness(key, block, False)


cdef bytes _lioness(key, block, bint encrypt):
    cdef CipherWork work
    cdef HopKeys keys
    cdef bytes result = PyBytes_FromStringAndSize(NULL, PAYLOAD)
    cdef byte *out = <byte *>PyBytes_AS_STRING(result)
    take(out, block, PAYLOAD, "a LIONESS block")
    take(keys.payload, key, 192, "a LIONESS key")
    if encrypt:
        encrypt_payload(&work, out, &keys)
    else:
        decrypt_payload(&work, out, &keys)
    sodium_memzero(&work, sizeof(work))
    sodium_memzero(&keys, sizeof(keys))
    return result


_prepare()
