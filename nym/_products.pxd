# Scalar products on Curve25519 without clamping, up to eight at once.

from nym._checks cimport byte
from nym._curve cimport CurveWork

cdef enum:
    LANES = 8

cdef struct Lane:  # q = n*p; secret; its owner wipes it
    byte *q  # NULL if this lane has nothing to do
    const byte *n
    const byte *p  # NULL for the base point
    int failure  # a lane that has failed does nothing any more
    CurveWork work

cdef void products(Lane *lanes, int count) noexcept nogil
