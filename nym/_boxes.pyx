# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""libsodium's sealed boxes (docs/protocol/envelope.md, "Sealed box"), over this project's products.

What `seal` makes, crypto_box_seal_open opens, and the other way round. A client seals one for each
packet. With single products of nym/_curve.pyx, and without ctypes, that takes a third of the time.

The nonce needn't be secret or random, because the key of a box is used only once: it depends on the
ephemeral key, which is drawn for each box.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy

from nym._checks cimport LOW_ORDER, NO_BOX_KEY, OK, byte, check, take
from nym._curve cimport KEY, CurveWork, base_product, product
from nym._sodium cimport (
    crypto_core_ed25519_scalar_random, crypto_core_hsalsa20, crypto_generichash_blake2b,
    crypto_secretbox_easy, crypto_secretbox_open_easy, sodium_init, sodium_memzero,
)

cdef enum:
    TAG = 16
    NONCE = 24

cdef byte ZEROS[16]

OVERHEAD = KEY + TAG

if sodium_init() < 0:
    raise ImportError("libsodium can't be initialised")


cdef struct Box:  # secret; wiped after each use
    CurveWork curve
    byte scalar[KEY]
    byte shared[KEY]
    byte key[KEY]
    byte names[2 * KEY]  # the ephemeral public key, and the recipient's
    byte nonce[NONCE]


cdef int prepare(Box *box, const byte *peer) noexcept nogil:
    # The key and the nonce, from `scalar`, the other side's public key, and both names.
    cdef int failure = product(&box.curve, box.shared, box.scalar, peer)
    if failure != OK:
        return failure
    # A u-coordinate isn't uniformly random. HSalsa20 over zeros turns it into a key.
    if crypto_core_hsalsa20(box.key, ZEROS, box.shared, NULL) != 0:
        return NO_BOX_KEY
    if crypto_generichash_blake2b(box.nonce, NONCE, box.names, 2 * KEY, NULL, 0) != 0:
        return NO_BOX_KEY
    return OK


def seal(bytes message not None, bytes recipient not None):
    """A box that only the holder of `recipient`'s private key can open, OVERHEAD bytes longer.

    Raises GroupElementError, LengthError.
    """
    cdef Box box
    cdef int failure
    cdef Py_ssize_t length = len(message)
    take(box.names + KEY, recipient, KEY, "a public key")
    cdef bytes sealed = PyBytes_FromStringAndSize(NULL, KEY + TAG + length)
    cdef byte *out = <byte *>PyBytes_AS_STRING(sealed)
    crypto_core_ed25519_scalar_random(box.scalar)
    failure = base_product(&box.curve, box.names, box.scalar)
    if failure == OK:
        failure = prepare(&box, box.names + KEY)
    if failure == OK:
        memcpy(out, box.names, KEY)
        crypto_secretbox_easy(
            out + KEY, <const byte *>PyBytes_AS_STRING(message), length, box.nonce, box.key
        )
    sodium_memzero(&box, sizeof(box))
    check(failure)
    return sealed


def unseal(bytes sealed not None, private_key, bytes public_key not None):
    """What is in a box that was sealed for this key pair; None if it wasn't, or was changed.

    Raises LengthError, and ScalarError, for keys that aren't any.
    """
    cdef Box box
    cdef int failure
    cdef Py_ssize_t length = len(sealed) - KEY - TAG
    if length < 0:
        return None
    cdef const byte *data = <const byte *>PyBytes_AS_STRING(sealed)
    cdef bytes message = PyBytes_FromStringAndSize(NULL, length)
    take(box.names + KEY, public_key, KEY, "a public key")
    take(box.scalar, private_key, KEY, "a private key")
    memcpy(box.names, data, KEY)
    # The sender multiplied the ephemeral secret by the public key. This product is the same point
    # up to its sign, which the u-coordinate doesn't contain.
    failure = prepare(&box, box.names)
    cdef bint is_opened = failure == OK and crypto_secretbox_open_easy(
        <byte *>PyBytes_AS_STRING(message), data + KEY, length + TAG, box.nonce, box.key
    ) == 0
    sodium_memzero(&box, sizeof(box))
    if failure == LOW_ORDER:
        return None
    check(failure)
    return message if is_opened else None
