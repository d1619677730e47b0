# X25519 for eight pairs at once, which this project has itself (ladder.c).

cdef extern from "ladder.h" nogil:
    enum:
        LADDER_LANES
    bint ladder_is_usable()
    # Scalars must have the clamped form. A lane whose pointers are NULL is left out.
    void ladder(unsigned char **q, const unsigned char **n, const unsigned char **p)
