# cython: boundscheck=False, wraparound=False
"""The plaintext of a payload (docs/protocol/sphinx.md, "Payload"):

    16 zero | destination 32 | message | 0x01 | zeros        1024 bytes in all

The leading zeros show whether a payload was changed: LIONESS turns every change into noise.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy, memset

from nym.errors import LengthError, PaddingError

cdef enum:
    LONGEST_MESSAGE = PAYLOAD - PREFIX - 1


def pad(bytes destination not None, bytes message not None):
    """The 1024 bytes that carry `message` (at most 975 bytes) to `destination` (32 bytes).

    Raises LengthError.
    """
    if len(destination) != DESTINATION:
        raise LengthError(f"a destination has {DESTINATION} bytes, not {len(destination)}")
    if len(message) > LONGEST_MESSAGE:
        raise LengthError(f"a message has at most {LONGEST_MESSAGE} bytes, not {len(message)}")
    cdef bytes payload = PyBytes_FromStringAndSize(NULL, PAYLOAD)
    cdef unsigned char *out = <unsigned char *>PyBytes_AS_STRING(payload)
    cdef size_t length = len(message)
    memset(out, 0, PAYLOAD)
    memcpy(out + ZEROS, PyBytes_AS_STRING(destination), DESTINATION)
    memcpy(out + PREFIX, PyBytes_AS_STRING(message), length)
    out[PREFIX + length] = 1
    return payload


cdef Py_ssize_t last_nonzero(const unsigned char *data) noexcept nogil:
    # Where the 0x01 is, that only zeros follow; the message may contain others. Less than PREFIX if
    # there is none. Every byte is looked at, and a mask chooses, so that the time tells nothing.
    cdef Py_ssize_t i, mask, last = 0
    for i in range(PREFIX, PAYLOAD):
        mask = -((<Py_ssize_t>data[i] + 0xff) >> 8)  # all ones, unless the byte is zero
        last ^= (last ^ i) & mask
    return last


def recover(bytes payload not None):
    """(destination, message) of a payload of 1024 bytes. Raises LengthError, PaddingError.

    Only copying the message takes a time that depends on it: on its length.
    """
    if len(payload) != PAYLOAD:
        raise LengthError(f"a payload has {PAYLOAD} bytes, not {len(payload)}")
    cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(payload)
    cdef unsigned char nonzero = 0
    cdef Py_ssize_t i
    for i in range(ZEROS):
        nonzero |= data[i]
    if nonzero:
        raise PaddingError("the payload doesn't begin with 16 zero bytes: it was changed")
    cdef Py_ssize_t end = last_nonzero(data)
    if end < PREFIX or data[end] != 1:
        raise PaddingError("the payload doesn't end with 0x01 and zeros")
    return payload[ZEROS:PREFIX], payload[PREFIX:end]
