# cython: boundscheck=False, wraparound=False
"""The primitives that packets are made of, one by one, for published vectors.

Each function calls the one in nym/ that packets go through, with the same fixed nonces, counters
and lengths.
"""

from libc.string cimport memcpy, memset

from nym._checks cimport check
from nym._ciphers cimport (
    BETA, DIGEST, KEYSTREAM, LEFT, MAC, PAYLOAD, RIGHT, SEED, SHA_BLOCK, CipherWork, HopKeys,
    blake_round, chacha_round, expand, header_mac, hmac, hmac_key, is_header_mac, stream_xor,
)
from nym._crypto cimport EVP_CIPHER_CTX_free, EVP_CIPHER_CTX_new
from nym._products cimport LANES, Lane, products

MOST_BLOCKS = 8  # of HKDF: as many as a hop's keys take
LONGEST_KEY = SHA_BLOCK
LONGEST_INFO = SEED


def hmac_sha256(bytes key, bytes data):
    """HMAC-SHA-256 with a key of up to LONGEST_KEY bytes."""
    assert len(key) <= LONGEST_KEY
    cdef CipherWork work
    cdef unsigned char out[DIGEST]
    hmac_key(&work, key, len(key))
    hmac(&work, out, &work.hmac, data, len(data))
    return out[:DIGEST]


def hkdf_expand(bytes key, bytes info, int blocks):
    """So many blocks of 32 bytes of HKDF's second step."""
    assert len(key) == DIGEST and len(info) <= LONGEST_INFO and blocks <= MOST_BLOCKS
    cdef CipherWork work
    cdef unsigned char out[8 * DIGEST]
    hmac_key(&work, key, DIGEST)
    expand(&work, out, blocks, info, len(info))
    return out[:blocks * DIGEST]


def aes_keystream(bytes key):
    """360 bytes of AES-128-CTR, from counter 0 on."""
    assert len(key) == 16
    cdef CipherWork work
    cdef HopKeys keys
    cdef unsigned char out[KEYSTREAM]
    memcpy(keys.stream, <const unsigned char *>key, 16)
    memset(out, 0, KEYSTREAM)
    work.aes = EVP_CIPHER_CTX_new()
    cdef int failure = stream_xor(&work, out, out, KEYSTREAM, &keys)
    EVP_CIPHER_CTX_free(work.aes)
    assert failure == 0
    return out[:KEYSTREAM]


def chacha20_keystream(bytes key):
    """992 bytes of ChaCha20 with a nonce of zeros, from counter 0 on."""
    assert len(key) == LEFT
    cdef CipherWork work
    cdef unsigned char block[PAYLOAD]
    memset(block, 0, PAYLOAD)
    chacha_round(&work, block, key)
    return block[LEFT:PAYLOAD]


def keyed_blake2b(bytes key, bytes data):
    """BLAKE2b of 992 bytes with a key of 64, shortened to 32 by its own parameter."""
    assert len(key) == 64 and len(data) == RIGHT
    cdef CipherWork work
    cdef unsigned char block[PAYLOAD]
    memset(block, 0, LEFT)
    memcpy(block + LEFT, <const unsigned char *>data, RIGHT)
    blake_round(&work, block, key)
    return block[:LEFT]


def header_mac_of(bytes key, bytes beta):
    """The MAC, 16 bytes, of a header of 300."""
    assert len(key) == 16 and len(beta) == BETA
    cdef CipherWork work
    cdef HopKeys keys
    cdef unsigned char out[MAC]
    memcpy(keys.mac, <const unsigned char *>key, 16)
    header_mac(&work, out, &keys, beta)
    assert is_header_mac(&work, out, &keys, beta)
    return out[:MAC]


cdef int products_deep_down(Lane *lanes, int count) noexcept nogil:
    # What this leaves on the stack is too deep to be written over by what comes after.
    cdef volatile unsigned char room[1 << 16]
    room[0] = 1
    products(lanes, count)
    return room[0]


def products_of(list pairs):
    """What the lanes give for up to eight (scalar, point): a product or an error.

    A point of None is the base point. A lane with None has nothing to do.
    """
    assert len(pairs) <= LANES
    cdef Lane lanes[LANES]
    cdef unsigned char out[LANES][32]
    cdef int i
    memset(lanes, 0, sizeof(lanes))
    memset(out, 0, sizeof(out))
    for i, pair in enumerate(pairs):
        if pair is not None:
            lanes[i].q, lanes[i].n = out[i], pair[0]
            if pair[1] is not None:
                lanes[i].p = pair[1]
    products_deep_down(lanes, len(pairs))
    return [product_or_error(lanes[i].failure, out[i][:32]) for i in range(len(pairs))]


def product_or_error(int failure, bytes product):
    """The product, or the error for the failure of its lane."""
    try:
        check(failure)
    except ValueError as error:
        return error
    return product
