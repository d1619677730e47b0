# Scalar products on Curve25519, u-coordinates only, without clamping.

from nym._checks cimport byte

cdef enum:
    KEY = 32

cdef struct CurveWork:  # secret; its owner wipes it
    byte eighth[KEY]
    byte negated[KEY]
    byte clamped[KEY]
    byte part[KEY]
    byte point[KEY]

cdef bint clamp(CurveWork *w, const byte *n) noexcept nogil
cdef int product(CurveWork *w, byte *q, const byte *n, const byte *p) noexcept nogil
cdef int base_product(CurveWork *w, byte *q, const byte *n) noexcept nogil
