# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Keys in memory that stays out of swap and core dumps, and is wiped when it is freed.

libsodium provides the memory. It lies between pages that can't be accessed, is locked as far as the
system allows (RLIMIT_MEMLOCK), and is left out of core dumps. Python's own objects can't be wiped:
what was in them stays in memory until the space is used again. So a key never becomes bytes here,
and files are read into buffers that can be wiped.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcmp, memcpy, strlen

from nym._checks cimport byte, take
from nym._sodium cimport (
    crypto_aead_xchacha20poly1305_ietf_decrypt, crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_core_ed25519_scalar_random, crypto_generichash_blake2b_salt_personal,
    crypto_sign_detached, crypto_sign_ed25519_pk_to_curve25519,
    crypto_sign_ed25519_sk_to_curve25519, crypto_sign_seed_keypair, crypto_sign_verify_detached,
    randombytes_buf,
    sodium_base642bin, sodium_bin2base64, sodium_free, sodium_init, sodium_malloc, sodium_memcmp,
    sodium_memzero,
)

from nym.errors import GroupElementError, LengthError

cdef extern from "sys/prctl.h" nogil:
    int prctl(int option, unsigned long value, ...)
    int PR_SET_DUMPABLE

cdef enum:
    KEY = 32
    NONCE = 24
    TAG = 16
    PERSON = 16
    HEAD = 16  # bytes that may stand before a key in a file, at most
    BASE64 = 65  # of the longest head and a key, with the zero at the end
    ORIGINAL = 1  # RFC 4648, with padding
    SIGNATURE = 64
    SIGNING_KEY = 64

if sodium_init() < 0:
    raise ImportError("libsodium can't be initialised")


cdef class Secret:
    """A key of 32 bytes. It offers a read-only buffer, so functions that read bytes can take it."""

    cdef byte *data

    def __cinit__(self, content=None):
        # `content` is any buffer, which is copied. Without it, the key is zero.
        cdef Py_buffer given
        self.data = <byte *>sodium_malloc(KEY)
        if self.data is NULL:
            raise MemoryError("no memory for a key")
        sodium_memzero(self.data, KEY)
        if content is None:
            return
        PyObject_GetBuffer(content, &given, PyBUF_SIMPLE)
        try:
            if given.len != KEY:
                raise LengthError(f"a key has {KEY} bytes, not {given.len}")
            memcpy(self.data, given.buf, KEY)
        finally:
            PyBuffer_Release(&given)

    def __dealloc__(self):
        sodium_free(self.data)  # wipes the memory first

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.data, KEY, 1, flags)

    def __len__(self):
        return KEY

    def __eq__(self, other):
        if not isinstance(other, Secret):
            return NotImplemented
        # In constant time, so that comparisons tell nothing about the key.
        return sodium_memcmp(self.data, (<Secret>other).data, KEY) == 0

    __hash__ = None

    def __repr__(self):
        return "<a secret>"

    def __reduce__(self):
        raise TypeError("a secret can't be copied or pickled")


def random_scalar():
    """A secret scalar modulo l, never zero, from the system's random number generator."""
    cdef Secret scalar = Secret()
    crypto_core_ed25519_scalar_random(scalar.data)
    return scalar


def derive(key, bytes person not None):
    """A secret derived from `key` for one purpose. `person`, up to 16 bytes, names the purpose.

    It is BLAKE2b of an empty message, with this key and this personalisation.
    """
    cdef Secret source = key if isinstance(key, Secret) else Secret(key)
    cdef Secret derived = Secret()
    cdef bytes named = person.ljust(PERSON, b"\0")
    if len(named) != PERSON:
        raise LengthError(f"a purpose has at most {PERSON} bytes, not {len(named)}")
    if crypto_generichash_blake2b_salt_personal(
        derived.data, KEY, NULL, 0, source.data, KEY, NULL, <const byte *>PyBytes_AS_STRING(named)
    ) != 0:
        raise MemoryError("libsodium could not derive a key")
    return derived


def random_seed():
    """A secret of random bytes, such as the seed of a key for signatures."""
    cdef Secret seed = Secret()
    randombytes_buf(seed.data, KEY)
    return seed


def signing_public_key(Secret seed not None):
    """The public key, 32 bytes, that verifies what `sign` makes with this seed (Ed25519)."""
    cdef byte public[KEY]
    cdef byte signing[SIGNING_KEY]
    cdef int failure = crypto_sign_seed_keypair(public, signing, seed.data)
    sodium_memzero(signing, SIGNING_KEY)
    if failure != 0:
        raise MemoryError("libsodium could not make a key for signatures")
    return PyBytes_FromStringAndSize(<char *>public, KEY)


def sign(Secret seed not None, bytes message not None):
    """The signature of `message`, 64 bytes (Ed25519). The same message always gives the same one.

    The key is made from the seed each time: so only the seed has to be kept, in one place.
    """
    cdef byte public[KEY]
    cdef byte signing[SIGNING_KEY]
    cdef bytes signature = PyBytes_FromStringAndSize(NULL, SIGNATURE)
    cdef int failure = crypto_sign_seed_keypair(public, signing, seed.data)
    if failure == 0:
        failure = crypto_sign_detached(
            <byte *>PyBytes_AS_STRING(signature), NULL,
            <const byte *>PyBytes_AS_STRING(message), len(message), signing,
        )
    sodium_memzero(signing, SIGNING_KEY)
    if failure != 0:
        raise MemoryError("libsodium could not make a signature")
    return signature


def exchange_key(Secret seed not None):
    """The private key for X25519 that belongs to the signing key with this seed.

    docs/security.md ("In the code") says why one identity may do both.
    """
    cdef Secret key = Secret()
    cdef byte public[KEY]
    cdef byte signing[SIGNING_KEY]
    cdef int failure = crypto_sign_seed_keypair(public, signing, seed.data)
    if failure == 0:
        failure = crypto_sign_ed25519_sk_to_curve25519(key.data, signing)
    sodium_memzero(signing, SIGNING_KEY)
    if failure != 0:
        raise MemoryError("libsodium could not make a key for exchanges")
    return key


def exchange_public_key(bytes public_key not None):
    """The public key for X25519 that belongs to an Ed25519 public key; 32 bytes each.

    Raises GroupElementError for what can't be the public key of a signer, and LengthError.
    """
    cdef byte exchange[KEY]
    if len(public_key) != KEY:
        raise LengthError(f"a key has {KEY} bytes, not {len(public_key)}")
    if crypto_sign_ed25519_pk_to_curve25519(
        exchange, <const byte *>PyBytes_AS_STRING(public_key)
    ) != 0:
        raise GroupElementError("nobody has this identity: it isn't a point of the group")
    return PyBytes_FromStringAndSize(<char *>exchange, KEY)


def verify(bytes public_key not None, bytes signature not None, bytes message not None):
    """Whether the holder of `public_key` signed `message` (Ed25519). Raises LengthError.

    A public key that isn't canonical, or has a low order, verifies nothing: with such a key, one
    signature could be right for several messages or keys.
    """
    cdef byte public[KEY]
    cdef byte signed[SIGNATURE]
    take(public, public_key, KEY, "a public key")
    take(signed, signature, SIGNATURE, "a signature")
    return crypto_sign_verify_detached(
        signed, <const byte *>PyBytes_AS_STRING(message), len(message), public
    ) == 0


def encrypt(
    Secret key not None, bytes message not None, bytes about not None, bytes nonce not None
):
    """Encrypt and authenticate `message`, and authenticate `about`, by XChaCha20-Poly1305.

    A nonce must not be used twice with one key. Raises LengthError.
    """
    cdef Py_ssize_t length = len(message)
    cdef bytes sealed = PyBytes_FromStringAndSize(NULL, length + TAG)
    if len(nonce) != NONCE:
        raise LengthError(f"a nonce has {NONCE} bytes, not {len(nonce)}")
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        <byte *>PyBytes_AS_STRING(sealed), NULL,
        <const byte *>PyBytes_AS_STRING(message), length,
        <const byte *>PyBytes_AS_STRING(about), len(about),
        NULL, <const byte *>PyBytes_AS_STRING(nonce), key.data,
    )
    return sealed


def decrypt(Secret key not None, bytes sealed not None, bytes about not None, bytes nonce not None):
    """The message that `encrypt` sealed. Raises ValueError for anything else."""
    cdef Py_ssize_t length = len(sealed) - TAG
    cdef bytes message
    if length < 0 or len(nonce) != NONCE:
        raise ValueError("it is too short to have been sealed")
    message = PyBytes_FromStringAndSize(NULL, length)
    if crypto_aead_xchacha20poly1305_ietf_decrypt(
        <byte *>PyBytes_AS_STRING(message), NULL, NULL,
        <const byte *>PyBytes_AS_STRING(sealed), length + TAG,
        <const byte *>PyBytes_AS_STRING(about), len(about),
        <const byte *>PyBytes_AS_STRING(nonce), key.data,
    ) != 0:
        raise ValueError("it was changed, or sealed with another key")
    return message


def seal_secret(
    Secret key not None, Secret secret not None, bytes about not None, bytes nonce not None
):
    """Encrypt a secret as `encrypt` does, without making bytes of it."""
    cdef bytes sealed = PyBytes_FromStringAndSize(NULL, KEY + TAG)
    if len(nonce) != NONCE:
        raise LengthError(f"a nonce has {NONCE} bytes, not {len(nonce)}")
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        <byte *>PyBytes_AS_STRING(sealed), NULL, secret.data, KEY,
        <const byte *>PyBytes_AS_STRING(about), len(about),
        NULL, <const byte *>PyBytes_AS_STRING(nonce), key.data,
    )
    return sealed


def open_secret(
    Secret key not None, bytes sealed not None, bytes about not None, bytes nonce not None
):
    """The secret that `seal_secret` sealed. Raises ValueError for anything else."""
    cdef Secret secret = Secret()
    if len(sealed) != KEY + TAG or len(nonce) != NONCE:
        raise ValueError("it hasn't the length of a sealed secret")
    if crypto_aead_xchacha20poly1305_ietf_decrypt(
        secret.data, NULL, NULL, <const byte *>PyBytes_AS_STRING(sealed), KEY + TAG,
        <const byte *>PyBytes_AS_STRING(about), len(about),
        <const byte *>PyBytes_AS_STRING(nonce), key.data,
    ) != 0:
        raise ValueError("it was changed, or sealed with another key")
    return secret


def from_base64(text, bytes head not None=b""):
    """The secret in a buffer with base64 (RFC 4648, canonical) of `head` and a key.

    White space is ignored. Raises ValueError.
    """
    cdef Py_buffer given
    cdef Secret secret = Secret()
    cdef byte decoded[HEAD + KEY]
    cdef size_t before = len(head), length = 0
    cdef const char *end = NULL
    cdef int failure, other = 0
    if before > HEAD:
        raise LengthError(f"at most {HEAD} bytes stand before a key, not {before}")
    PyObject_GetBuffer(text, &given, PyBUF_SIMPLE)
    try:
        failure = sodium_base642bin(
            decoded, before + KEY, <const char *>given.buf, given.len, " \t\r\n", &length, &end,
            ORIGINAL,
        )
        # libsodium stops at the first other character, and reports success.
        if failure == 0 and end != <const char *>given.buf + given.len:
            failure = -1
    finally:
        PyBuffer_Release(&given)
    if length != before + KEY:
        failure = -1
    # The head isn't secret, so the time may depend on it.
    if failure == 0:
        other = memcmp(decoded, PyBytes_AS_STRING(head), before)
        memcpy(secret.data, decoded + before, KEY)
    sodium_memzero(decoded, HEAD + KEY)
    if failure != 0:
        raise ValueError(f"it isn't base64 of {before + KEY} bytes")
    if other != 0:
        raise ValueError("it holds a key of another kind")
    return secret


def to_base64(key, bytes head not None=b""):
    """The base64 text of `head` and a key, in a bytearray that can be wiped."""
    cdef Secret secret = key if isinstance(key, Secret) else Secret(key)
    cdef byte whole[HEAD + KEY]
    cdef char encoded[BASE64]
    cdef size_t before = len(head), length
    if before > HEAD:
        raise LengthError(f"at most {HEAD} bytes stand before a key, not {before}")
    memcpy(whole, PyBytes_AS_STRING(head), before)
    memcpy(whole + before, secret.data, KEY)
    sodium_bin2base64(encoded, BASE64, whole, before + KEY, ORIGINAL)
    length = strlen(encoded)
    text = bytearray(length)
    memcpy(PyByteArray_AS_STRING(text), encoded, length)
    sodium_memzero(whole, HEAD + KEY)
    sodium_memzero(encoded, BASE64)
    return text


def wipe(buffer):
    """Fill a writable buffer with zeros."""
    cdef byte[::1] view = buffer
    if view.shape[0]:
        sodium_memzero(&view[0], view.shape[0])


def forbid_dumps():
    """Make the system write no core dump of this process, and let only root trace or read it.

    Some seccomp profiles refuse this call. Then the program runs without this protection, so the
    result isn't checked.
    """
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
