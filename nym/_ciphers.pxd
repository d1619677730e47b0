# The keys of one hop, and the functions that use them.

from nym._checks cimport byte
from nym._crypto cimport EVP_CIPHER_CTX, SHA256_CTX

cdef enum:
    MAC = 16
    BETA = 300
    KEYSTREAM = 360
    PAYLOAD = 1024
    LEFT = 32  # of a payload, in LIONESS
    RIGHT = PAYLOAD - LEFT
    DIGEST = 32
    SEED = 97  # length of HKDF's info
    SHA_BLOCK = 64

cdef struct HopKeys:  # HKDF's output is written over it, so order and sizes are the protocol's
    byte stream[16]
    byte mac[16]
    byte payload[192]
    byte blinding[32]

cdef struct HmacKey:
    SHA256_CTX inner
    SHA256_CTX outer

cdef struct CipherWork:  # secret; its owner wipes it
    HmacKey hmac
    SHA256_CTX sha
    byte padded_key[SHA_BLOCK]
    byte digest[DIGEST]
    byte mac[MAC]
    byte expand[DIGEST + SEED + 1]
    byte round_key[32]
    EVP_CIPHER_CTX *aes  # from EVP_CIPHER_CTX_new; the owner frees it

cdef void hmac_key(CipherWork *w, const byte *key, int length) noexcept nogil
cdef void hmac(CipherWork *w, byte *out, const HmacKey *key, const byte *data,
               size_t length) noexcept nogil
cdef void expand(CipherWork *w, byte *out, int blocks, const byte *info, int length) noexcept nogil
cdef void derive_keys(CipherWork *w, HopKeys *keys, const byte *shared) noexcept nogil
cdef void header_mac(CipherWork *w, byte *out, const HopKeys *keys, const byte *beta) noexcept nogil
cdef bint is_header_mac(
    CipherWork *w, const byte *gamma, const HopKeys *keys, const byte *beta
) noexcept nogil
cdef int stream_xor(CipherWork *w, byte *out, const byte *data, int length,
                    const HopKeys *keys) noexcept nogil
cdef void chacha_round(CipherWork *w, byte *block, const byte *key) noexcept nogil
cdef void blake_round(CipherWork *w, byte *block, const byte *key) noexcept nogil
cdef void encrypt_payload(CipherWork *w, byte *block, const HopKeys *keys) noexcept nogil
cdef void decrypt_payload(CipherWork *w, byte *block, const HopKeys *keys) noexcept nogil
cdef void xor(byte *target, const byte *other, int length) noexcept nogil
