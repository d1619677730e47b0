# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Scalar products on Curve25519 without clamping (docs/protocol/sphinx.md, "Group").

Nym's scalars are not clamped, but libsodium clamps every scalar: it overwrites some of its bits. So
each scalar n is replaced by one that already has the clamped form and gives the same product. On
the subgroup of prime order l, u(nP) = u(-nP), so any c with c = n or c = -n (mod l) will do.

On processors with AVX-512 IFMA, one_ladder.c computes products, in half the time that libsodium
takes. Results and errors are the same.

Points are u-coordinates of 32 bytes. Scalars are secret, so no branch depends on one, except in a
case that a random scalar meets once in 2^127 times; see `product`.
"""

from nym._checks cimport LOW_ORDER, OK, ZERO_SCALAR, byte, check, take
from nym._ladders cimport ladders_are_usable, one_ladder
from nym._sodium cimport (
    crypto_core_ed25519_is_valid_point, crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_negate, crypto_core_ed25519_scalar_random, crypto_scalarmult,
    crypto_scalarmult_base, sodium_init, sodium_is_zero, sodium_memzero,
)

cdef bint own_ladder = ladders_are_usable()
cdef byte INVERSE_OF_8[KEY]
cdef byte TWO_TO_126[KEY]
cdef byte TWO_TO_MINUS_126[KEY]
cdef byte BASE_POINT[KEY]

_ORDER = 2**252 + 27742317777372353535851937790883648493
_PRIME = 2**255 - 19
# The u-coordinates of all points of low order, on the curve and on its twist: 0, 1, -1 and those of
# order 8. The top bit means nothing, so each form that a number below 2^255 can have is here.
_LOW_ORDER = frozenset((
    0, 1, _PRIME - 1, _PRIME, _PRIME + 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
))


def _prepare():
    if sodium_init() < 0:
        raise ImportError("libsodium can't be initialised")
    take(INVERSE_OF_8, pow(8, -1, _ORDER).to_bytes(KEY, "little"), KEY, "a scalar")
    take(TWO_TO_126, (2**126).to_bytes(KEY, "little"), KEY, "a scalar")
    take(TWO_TO_MINUS_126, pow(2**126, -1, _ORDER).to_bytes(KEY, "little"), KEY, "a scalar")
    take(BASE_POINT, (9).to_bytes(KEY, "little"), KEY, "a point")


cdef inline unsigned int in_clamping_range(const byte *t) noexcept nogil:
    # 1 if 2^251 <= t < 2^252: then 8t has the clamped form. No branch, because t is secret.
    cdef unsigned int off = (t[31] >> 3) ^ 1
    return ((off - 1) >> 31) & 1


cdef bint clamp(CurveWork *w, const byte *n) noexcept nogil:
    # Sets w.clamped = 8t, where t = n/8 or -n/8 (mod l) and 2^251 <= t < 2^252. Returns False if
    # neither sign has such a t. The choice between the signs is made by a mask instead of a branch.
    cdef byte keep
    cdef int i
    crypto_core_ed25519_scalar_mul(w.eighth, n, INVERSE_OF_8)
    crypto_core_ed25519_scalar_negate(w.negated, w.eighth)
    keep = <byte>(0 - in_clamping_range(w.eighth))
    for i in range(KEY):
        w.eighth[i] = (w.eighth[i] & keep) | (w.negated[i] & ~keep)
    w.clamped[0] = <byte>(w.eighth[0] << 3)
    for i in range(1, KEY):
        w.clamped[i] = <byte>((w.eighth[i] << 3) | (w.eighth[i - 1] >> 5))
    return in_clamping_range(w.eighth)


cdef int x25519(byte *q, const byte *n, const byte *p) noexcept nogil:
    # q = n*p for a scalar in the clamped form; `p` is NULL for the base point.
    if not own_ladder:
        failure = crypto_scalarmult(q, n, p) if p is not NULL else crypto_scalarmult_base(q, n)
        return OK if failure == 0 else LOW_ORDER
    one_ladder(q, n, p if p is not NULL else BASE_POINT)
    return LOW_ORDER if sodium_is_zero(q, KEY) else OK


cdef int product(CurveWork *w, byte *q, const byte *n, const byte *p) noexcept nogil:
    # q = n*p. `q` must not be `p`, nor lie in `w`.
    #
    # l = 2^252 + d with d < 2^125, so `clamp` fails only for n = 8t with |t| <= d. Such an n is
    # split into two scalars, n = a*b (mod l), that both have a clamped form: u(abP) = u(a(bP)).
    #   a = 2^126 n. Here a/8 = 2^126 t, and 2^126 <= |2^126 t| < 2^251, so l minus it is in range.
    #   b = 2^-126, a constant. A test checks that `clamp` succeeds for it.
    # The branch reveals that n is one of these. A random n is, with a probability of 1 in 2^127.
    if clamp(w, n):
        return x25519(q, w.clamped, p)
    clamp(w, TWO_TO_MINUS_126)
    if x25519(w.point, w.clamped, p) != OK:
        return LOW_ORDER
    crypto_core_ed25519_scalar_mul(w.part, n, TWO_TO_126)
    if not clamp(w, w.part):  # only zero has no form even so
        return ZERO_SCALAR
    return x25519(q, w.clamped, w.point)


cdef int base_product(CurveWork *w, byte *q, const byte *n) noexcept nogil:
    if clamp(w, n):
        return x25519(q, w.clamped, NULL)
    return product(w, q, n, BASE_POINT)


def has_own_ladder():
    """Whether single products are this project's own, instead of libsodium's."""
    return own_ladder


def use_own_ladder(bint use):
    """Choose that, where it is possible, or libsodium. Only tests call this."""
    global own_ladder
    own_ladder = use and ladders_are_usable()


def multiply(scalar, point):
    """The u-coordinate of scalar * point, 32 bytes. The point is in the subgroup of order l.

    Raises GroupElementError, ScalarError, LengthError.
    """
    cdef byte other[KEY]
    take(other, point, KEY, "a group element")
    return _multiply(scalar, other)


def public_key(private_key):
    """The u-coordinate of private_key * base point, 32 bytes. Raises ScalarError, LengthError."""
    return _multiply(private_key, NULL)


def nobodys_key():
    """A random public key, 32 bytes, whose private key is forgotten at once."""
    cdef CurveWork work
    cdef byte n[KEY]
    cdef byte q[KEY]
    crypto_core_ed25519_scalar_random(n)
    cdef int failure = base_product(&work, q, n)
    sodium_memzero(&work, sizeof(work))
    sodium_memzero(n, sizeof(n))
    check(failure)
    return (<const char *>q)[:KEY]


def is_of_low_order(point):
    """Whether all products of a point, 32 bytes, are zero, so that `multiply` refuses it."""
    return int.from_bytes(point, "little") % 2**255 in _LOW_ORDER


def is_public_key(point):
    """Whether `point` is exactly what `public_key` gives for some private key. Raises LengthError.

    Other encodings of the same point (with the top bit set, or not reduced modulo p), and its sums
    with points of low order, give the same products here. If they were accepted, one key would have
    several names.
    """
    cdef byte edwards[KEY]
    take(edwards, point, KEY, "a public key")
    number = int.from_bytes(point, "little")
    if number >= _PRIME - 1:  # not reduced; or -1, which has no y below and isn't on the curve
        return False
    # libsodium can test membership in the subgroup on the Edwards form of the curve only. There,
    # the same point, up to its sign, has y = (u - 1) / (u + 1). Python's integers aren't
    # constant-time, but a public key isn't secret.
    y = (number - 1) * pow(number + 1, -1, _PRIME) % _PRIME
    take(edwards, y.to_bytes(KEY, "little"), KEY, "a point")
    return crypto_core_ed25519_is_valid_point(edwards) == 1


cdef bytes _multiply(scalar, const byte *point):
    cdef CurveWork work
    cdef byte n[KEY]
    cdef byte q[KEY]
    cdef int failure
    take(n, scalar, KEY, "a scalar")
    with nogil:
        if point is not NULL:
            failure = product(&work, q, n, point)
        else:
            failure = base_product(&work, q, n)
        sodium_memzero(&work, sizeof(work))
        sodium_memzero(n, sizeof(n))
    check(failure)
    result = (<const char *>q)[:KEY]
    sodium_memzero(q, sizeof(q))
    return result


_prepare()
