# X25519 in the lanes of AVX-512 registers, which this project has itself.

cdef extern from "ladders.h" nogil:
    enum:
        LADDERS
    bint ladders_are_usable()
    # Scalars must have the clamped form. A product of zero is no error.
    void one_ladder(unsigned char *q, const unsigned char *n, const unsigned char *p)
    # A lane whose pointers are NULL is left out.
    void eight_ladders(unsigned char **q, const unsigned char **n, const unsigned char **p)
