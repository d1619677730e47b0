# Where a message ends in a payload.

cdef enum:
    ZEROS = 16
    DESTINATION = 32
    PREFIX = ZEROS + DESTINATION
    PAYLOAD = 1024

cdef Py_ssize_t last_nonzero(const unsigned char *data) noexcept nogil
