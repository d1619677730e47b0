# cython: boundscheck=False, wraparound=False
"""Tables of numbers that several processes fill at the same time, without a lock.

A table is 32-bit numbers in mapped memory: eight at the start that say what it is (`HEAD`), then
its places, as many as a power of two. A hash of 64 bits has its place by linear probing: its lower
half says where to begin, and its upper half is what is kept there. 0 is an empty place.

A place is filled once, by one compare-and-swap, and never changes again. So all who look for the
same hash pass the same numbers and come to the same place, and of those who find it empty, one
fills it. Each step is sequentially consistent, which costs next to nothing beside the rest.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef extern from * nogil:  # of the compiler, gcc or clang
    int __ATOMIC_SEQ_CST
    uint32_t __atomic_load_n(const uint32_t *place, int order)
    void __atomic_store_n(uint32_t *place, uint32_t number, int order)
    uint32_t __atomic_add_fetch(uint32_t *place, uint32_t number, int order)
    bint __atomic_compare_exchange_n(
        uint32_t *place, uint32_t *expected, uint32_t number, bint weak, int order, int otherwise
    )

cdef enum:
    HEAD = 8
    SHUT = 6  # of the head: not 0 once the table takes nothing more
    COUNT = 7  # of the head: how many places are filled


cdef inline uint32_t load(const uint32_t *place) noexcept nogil:
    return __atomic_load_n(place, __ATOMIC_SEQ_CST)


cdef inline uint32_t kept(uint64_t short_hash) noexcept nogil:
    cdef uint32_t number = <uint32_t>(short_hash >> 32)
    return number if number else 1


def has(const uint32_t[::1] table, uint64_t short_hash):
    """Whether this hash is in the table."""
    cdef const uint32_t *places = &table[HEAD]
    cdef uint64_t last = table.shape[0] - HEAD - 1
    cdef uint64_t place = short_hash & last
    cdef uint32_t number = kept(short_hash), found = load(&places[place])
    while found != 0 and found != number:
        place = (place + 1) & last
        found = load(&places[place])
    return found != 0


def add(uint32_t[::1] table, uint64_t short_hash):
    """Note a hash; returns whether it is new. None: the table is shut, and doesn't have it.

    There must be an empty place. None may be returned for a hash that was noted by this very call,
    if somebody has shut the table meanwhile: it isn't known then who else may have looked for it
    here, and not found it. Whoever gets None asks the next table, which decides.
    """
    cdef uint32_t *head = &table[0]
    cdef uint32_t *places = head + HEAD
    cdef uint64_t last = table.shape[0] - HEAD - 1
    cdef uint64_t place = short_hash & last
    cdef uint32_t number = kept(short_hash), found = 0
    cdef bint is_shut = load(head + SHUT) != 0
    while True:
        found = load(&places[place])
        # If another process is faster, `found` is what it has put there.
        if found == 0 and (is_shut or __atomic_compare_exchange_n(
            &places[place], &found, number, False, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST
        )):
            break
        if found == number:
            return False
        place = (place + 1) & last
    if is_shut:
        return None
    __atomic_add_fetch(head + COUNT, 1, __ATOMIC_SEQ_CST)
    return None if load(head + SHUT) else True


def shut(uint32_t[::1] table):
    """Take nothing more, from now on."""
    __atomic_store_n(&table[SHUT], 1, __ATOMIC_SEQ_CST)
