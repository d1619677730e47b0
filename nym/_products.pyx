# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Up to eight scalar products at once (docs/protocol/sphinx.md, "Eight products at once").

On processors with AVX-512 IFMA, eight_ladders.c computes eight products in the time that single
ones take for three and a half. It needs scalars in the clamped form, so it is given those that
`clamp` makes. Whatever it can't do is left to nym/_curve.pyx: scalars without a clamped form, and
points of low order, which give zero. So results and errors are the same on all machines.

Branches depend on which lanes these are. `product` says why that may be known.
"""

from libc.string cimport memset

from nym._checks cimport OK, byte
from nym._curve cimport KEY, base_product, clamp, product
from nym._ladders cimport LADDERS, eight_ladders, ladders_are_usable
from nym._sodium cimport sodium_is_zero

cdef struct Pointers:
    byte *q[LANES]
    const byte *n[LANES]
    const byte *p[LANES]

assert LANES == <int>LADDERS
cdef enum:
    FEW = 3  # so many take less one by one
cdef bint together = ladders_are_usable()
cdef byte BASE_POINT[KEY]
memset(BASE_POINT, 0, KEY)
BASE_POINT[0] = 9


cdef inline bint is_busy(const Lane *lane) noexcept nogil:
    return lane.q is not NULL and lane.failure == OK


cdef int busy_ones(const Lane *lanes, int count) noexcept nogil:
    cdef int i, busy = 0
    for i in range(count):
        busy += is_busy(&lanes[i])
    return busy


cdef void multiply_together(Pointers *to, Lane *lanes, int count) noexcept nogil:
    # Lanes that stay NULL are left out.
    cdef int i
    for i in range(count):
        if is_busy(&lanes[i]) and clamp(&lanes[i].work, lanes[i].n):
            to.q[i] = lanes[i].q
            to.n[i] = lanes[i].work.clamped
            to.p[i] = lanes[i].p
            if to.p[i] is NULL:
                to.p[i] = BASE_POINT
    eight_ladders(to.q, to.n, to.p)


cdef void products(Lane *lanes, int count) noexcept nogil:
    # Sets q or `failure` in each of up to LANES lanes. No `q` may be a `p`.
    cdef Pointers to
    cdef Lane *lane
    cdef int i
    memset(&to, 0, sizeof(to))
    if together and busy_ones(lanes, count) > FEW:
        multiply_together(&to, lanes, count)
    for i in range(count):
        lane = &lanes[i]
        if not is_busy(lane) or (to.q[i] is not NULL and not sodium_is_zero(lane.q, KEY)):
            continue
        if lane.p is NULL:
            lane.failure = base_product(&lane.work, lane.q, lane.n)
        else:
            lane.failure = product(&lane.work, lane.q, lane.n, lane.p)


def at_once():
    """How many products are made at once: 8, or 1 if the processor can't do that."""
    return LANES if together else 1


def set_at_once(int most):
    """Choose 1, or 8 where that is possible. Only tests and benchmarks call this, to compare."""
    global together
    together = ladders_are_usable() and most == LANES
