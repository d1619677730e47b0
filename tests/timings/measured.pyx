# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Measures single calls of the C functions whose time must not depend on secrets.

Each has a twin here that does the same in the obvious way, which tells something.
"""

from array import array

from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from nym._checks cimport byte
from nym._ciphers cimport BETA, MAC, CipherWork, HopKeys, header_mac, is_header_mac
from nym._curve cimport KEY, CurveWork, clamp, product
from nym._padding cimport PAYLOAD, PREFIX, last_nonzero
from nym._products cimport LANES, Lane, products
from nym._sodium cimport crypto_core_ed25519_scalar_mul, crypto_core_ed25519_scalar_negate

cdef struct Work:
    CipherWork cipher
    CurveWork curve
    HopKeys keys
    byte beta[BETA]
    byte inverse_of_8[KEY]
    Lane lanes[LANES]
    byte product[LANES][KEY]
    byte point[KEY]

ctypedef int (*Measured)(Work *w, const byte *given) noexcept nogil

cdef Work work
cdef volatile int result  # so that no call is left out
memset(&work, 0, sizeof(work))
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the group
cdef bytes eighth = pow(8, -1, ORDER).to_bytes(KEY, "little")
memcpy(work.inverse_of_8, <const byte *>eighth, KEY)
work.point[0] = 9


cdef int check_mac(Work *w, const byte *gamma) noexcept nogil:
    return is_header_mac(&w.cipher, gamma, &w.keys, w.beta)


cdef int check_mac_and_tell(Work *w, const byte *gamma) noexcept nogil:
    cdef int i
    header_mac(&w.cipher, w.cipher.mac, &w.keys, w.beta)
    for i in range(MAC):
        if w.cipher.mac[i] != gamma[i]:
            return 0
    return 1


cdef int unpad(Work *w, const byte *payload) noexcept nogil:
    return <int>last_nonzero(payload)


cdef int unpad_and_tell(Work *w, const byte *payload) noexcept nogil:
    cdef int end = PAYLOAD - 1
    while end >= PREFIX and payload[end] == 0:
        end -= 1
    return end


cdef int clamp_scalar(Work *w, const byte *scalar) noexcept nogil:
    return clamp(&w.curve, scalar)


cdef int clamp_scalar_and_tell(Work *w, const byte *scalar) noexcept nogil:
    crypto_core_ed25519_scalar_mul(w.curve.eighth, scalar, w.inverse_of_8)
    if w.curve.eighth[31] >> 3 != 1:
        crypto_core_ed25519_scalar_negate(w.curve.negated, w.curve.eighth)
        memcpy(w.curve.eighth, w.curve.negated, KEY)
    return w.curve.eighth[31] >> 3 == 1


cdef int multiply(Work *w, const byte *scalar) noexcept nogil:
    product(&w.curve, w.product[0], scalar, w.point)
    return w.product[0][0]


cdef int multiply_and_tell(Work *w, const byte *scalar) noexcept nogil:
    return multiply(w, scalar) + add_where_set(w, w.curve.clamped, scalar)


cdef int multiply_eight(Work *w, const byte *scalar) noexcept nogil:
    cdef int i
    for i in range(LANES):
        w.lanes[i].q, w.lanes[i].n, w.lanes[i].p = w.product[i], scalar, w.point
    products(w.lanes, LANES)
    return w.product[0][0]


cdef int multiply_eight_and_tell(Work *w, const byte *scalar) noexcept nogil:
    return multiply_eight(w, scalar) + add_where_set(w, w.lanes[0].work.clamped, scalar)


cdef int add_where_set(Work *w, const byte *clamped, const byte *scalar) noexcept nogil:
    # As a ladder that adds only where a bit is set.
    cdef int i, added = 0
    for i in range(8 * KEY):
        if clamped[i // 8] >> (i % 8) & 1:
            crypto_core_ed25519_scalar_negate(w.curve.negated, scalar)
            added += w.curve.negated[0]
    return added


def header_mac_of_zeros():
    """The MAC that `check_mac` compares with."""
    header_mac(&work.cipher, work.cipher.mac, &work.keys, work.beta)
    return (<const char *>work.cipher.mac)[:MAC]


cdef Measured function_of(str name, bint tells):
    if name == "check_mac":
        return check_mac_and_tell if tells else check_mac
    if name == "unpad":
        return unpad_and_tell if tells else unpad
    if name == "clamp_scalar":
        return clamp_scalar_and_tell if tells else clamp_scalar
    if name == "multiply":
        return multiply_and_tell if tells else multiply
    return multiply_eight_and_tell if tells else multiply_eight


def nanoseconds(str name, bint tells, bytes inputs not None, int length):
    """How long each call took, for inputs of `length` bytes, one after the other.

    `tells` takes the function's twin.
    """
    cdef Measured function = function_of(name, tells)
    cdef const byte *given = inputs
    cdef Py_ssize_t i, count = len(inputs) // length
    cdef timespec before, after
    times = array("q", bytes(8 * count))
    cdef long long[::1] out = times
    global result
    with nogil:
        for i in range(count):
            clock_gettime(CLOCK_MONOTONIC, &before)
            result = function(&work, given + i * length)
            clock_gettime(CLOCK_MONOTONIC, &after)
            out[i] = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec
    return times
