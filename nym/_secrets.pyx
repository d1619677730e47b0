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
from libc.string cimport memcpy

from nym._checks cimport byte
from nym._sodium cimport (
    crypto_aead_xchacha20poly1305_ietf_decrypt, crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_core_ed25519_scalar_random, crypto_generichash_blake2b_salt_personal, sodium_base642bin,
    sodium_bin2base64, sodium_free, sodium_init, sodium_malloc, sodium_memcmp, sodium_memzero,
)

from nym.errors import LengthError

cdef extern from "sys/prctl.h" nogil:
    int prctl(int option, unsigned long value, ...)
    int PR_SET_DUMPABLE

cdef enum:
    KEY = 32
    NONCE = 24
    TAG = 16
    PERSON = 16
    BASE64 = 45  # of a key, with the zero at the end
    ORIGINAL = 1  # RFC 4648, with padding

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


def from_base64(text):
    """The secret in a buffer with base64 (RFC 4648, canonical). White space is ignored.

    Raises ValueError.
    """
    cdef Py_buffer given
    cdef Secret secret = Secret()
    cdef size_t length = 0
    cdef const char *end = NULL
    cdef int failure
    PyObject_GetBuffer(text, &given, PyBUF_SIMPLE)
    try:
        failure = sodium_base642bin(
            secret.data, KEY, <const char *>given.buf, given.len, " \t\r\n", &length, &end, ORIGINAL
        )
        # libsodium stops at the first other character, and reports success.
        if failure == 0 and end != <const char *>given.buf + given.len:
            failure = -1
    finally:
        PyBuffer_Release(&given)
    if failure != 0 or length != KEY:
        raise ValueError(f"it isn't base64 of {KEY} bytes")
    return secret


def to_base64(key):
    """The base64 text of a key, in a bytearray that can be wiped."""
    cdef Secret secret = key if isinstance(key, Secret) else Secret(key)
    cdef char encoded[BASE64]
    sodium_bin2base64(encoded, BASE64, secret.data, KEY, ORIGINAL)
    text = bytearray(BASE64 - 1)
    memcpy(PyByteArray_AS_STRING(text), encoded, BASE64 - 1)
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
