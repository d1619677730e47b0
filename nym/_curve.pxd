# Products on Curve25519's u-line by scalars that are not clamped.

from nym._checks cimport byte

cdef enum:
    KEY = 32

cdef struct CurveWork:  # secret; whoever has one wipes it
    byte eighth[KEY]
    byte negated[KEY]
    byte clamped[KEY]
    byte part[KEY]
    byte point[KEY]

cdef int product(CurveWork *w, byte *q, const byte *n, const byte *p) noexcept nogil
cdef int base_product(CurveWork *w, byte *q, const byte *n) noexcept nogil
