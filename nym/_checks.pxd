# The boundary between Python and C: `take` checks lengths before C code sees bytes, and `check`
# turns the return codes of C code into errors.

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memcpy

ctypedef unsigned char byte

cdef enum Failure:
    OK = 0
    LOW_ORDER
    ZERO_SCALAR
    WRONG_MAC
    UNKNOWN_FLAG
    WRONG_LENGTH  # whoever finds it makes the error, which says how long it is
    NO_CIPHER
    NO_BOX_KEY


cdef inline int take(byte *target, value, Py_ssize_t length, str what) except -1:
    # Copies `value`, which must have exactly `length` bytes. It may be secret, so no error shows
    # it.
    cdef Py_buffer given
    if not isinstance(value, bytes):
        from nym._secrets import Secret
        if not isinstance(value, Secret):
            raise TypeError(f"{what} is bytes, not {type(value).__name__}")
    PyObject_GetBuffer(value, &given, PyBUF_SIMPLE)
    try:
        if given.len != length:
            from nym.errors import LengthError  # here, because it takes longer than all the rest
            raise LengthError(f"{what} has {length} bytes, not {given.len}")
        memcpy(target, given.buf, length)
    finally:
        PyBuffer_Release(&given)
    return 0


cdef inline int check(int failure) except -1:
    if failure == OK:
        return 0
    from nym import errors
    if failure == LOW_ORDER:
        raise errors.GroupElementError("a group element has low order, so it shares no secret")
    if failure == ZERO_SCALAR:
        raise errors.ScalarError("a secret is zero modulo the order of the group")
    if failure == WRONG_MAC:
        raise errors.MacError("the MAC is wrong: the header was changed, or is for another node")
    if failure == UNKNOWN_FLAG:
        raise errors.FlagError("the routing flag means neither forward nor final")
    if failure == NO_CIPHER:
        raise MemoryError("libcrypto could not set up AES-128-CTR")
    if failure == NO_BOX_KEY:
        raise MemoryError("libsodium could not hash a shared secret")
    return 0
