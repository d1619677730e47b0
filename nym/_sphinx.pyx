# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Building a Sphinx packet, and unwrapping one hop of it (docs/protocol/sphinx.md).

All work on one packet happens in one `Work` on the C stack, without the GIL, and ends with one
sodium_memzero over it: whatever path a function takes, no key, scalar or keystream outlives it.
C code below returns one of the codes of `Failure`; `_raise` turns it into the typed error.

The two libraries' own copies: libsodium clears its temporaries, and EVP_CIPHER_CTX_free clears
the expanded AES key.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memmove, memset

from nym._crypto cimport (
    EVP_CIPHER, EVP_CIPHER_CTX, EVP_CIPHER_CTX_free, EVP_CIPHER_CTX_new, EVP_CIPHER_fetch,
    EVP_EncryptInit_ex2, EVP_EncryptUpdate, SHA256_CTX, SHA256_Final, SHA256_Init, SHA256_Update,
)
from nym._sodium cimport (
    crypto_core_ed25519_scalar_mul, crypto_core_ed25519_scalar_negate,
    crypto_core_ed25519_scalar_random, crypto_generichash_blake2b, crypto_scalarmult,
    crypto_scalarmult_base, crypto_stream_chacha20_xor, randombytes_buf, sodium_init,
    sodium_memcmp, sodium_memzero,
)

from nym.errors import FlagError, GroupElementError, LengthError, MacError, ScalarError

ctypedef unsigned char byte

cdef enum:
    KEY = 32
    ADDRESS = 32
    IDENTIFIER = 16
    MAC = 16
    BLOCK = 60  # flag 1, version 3, address 32, delay 8, MAC 16
    HOPS = 5
    BETA = BLOCK * HOPS
    KEYSTREAM = BETA + BLOCK
    HEADER = KEY + MAC + BETA
    PAYLOAD = 1024
    PACKET = HEADER + PAYLOAD
    FINAL_BLOCK = 4 + ADDRESS + IDENTIFIER

    FORWARD = 1
    FINAL = 2

    LIONESS_LEFT = 32
    LIONESS_RIGHT = PAYLOAD - LIONESS_LEFT

cdef enum Failure:
    OK = 0
    LOW_ORDER
    ZERO_SCALAR
    WRONG_MAC
    UNKNOWN_FLAG
    NO_CIPHER

cdef enum:
    SEED = 97
    EXPANDED = 256  # what HKDF gives for a hop
    DIGEST = 32
    SHA_BLOCK = 64

cdef struct HopKeys:  # in the order, and of the sizes, in which HKDF's output is cut
    byte stream[16]
    byte mac[16]
    byte payload[192]
    byte blinding[32]

cdef struct HmacKey:
    SHA256_CTX inner
    SHA256_CTX outer

cdef struct Work:
    HopKeys keys[HOPS]
    byte rho[HOPS][KEYSTREAM]
    byte scalar[KEY]
    byte shared[KEY]
    # curve
    byte eighth[KEY]
    byte negated[KEY]
    byte clamped[KEY]
    byte part[KEY]
    byte point[KEY]
    # HKDF and HMAC
    HmacKey hmac
    SHA256_CTX sha
    byte padded_key[SHA_BLOCK]
    byte digest[DIGEST]
    byte expand[DIGEST + SEED + 1]
    # LIONESS
    byte round_key[LIONESS_LEFT]
    EVP_CIPHER_CTX *aes

cdef byte ZEROS[KEYSTREAM]
cdef byte INVERSE_OF_8[KEY]
cdef byte TWO_TO_126[KEY]
cdef byte TWO_TO_MINUS_126[KEY]
cdef byte BASE_POINT[KEY]
cdef byte INFO[SEED]
cdef byte VERSION[3]
cdef HmacKey NO_SALT
cdef EVP_CIPHER *AES_128_CTR

_ORDER = 2**252 + 27742317777372353535851937790883648493
_SEED = b"Dwste mou enan moxlo arketa makru kai ena upomoxlio gia na ton topothetisw kai tha kinisw thn gh."


cdef void _copy(byte *target, bytes source) noexcept:
    memcpy(target, PyBytes_AS_STRING(source), len(source))


cdef void _scalar(byte *target, number):
    _copy(target, (number % _ORDER).to_bytes(KEY, "little"))


def _prepare():
    global AES_128_CTR
    if sodium_init() < 0:
        raise ImportError("libsodium can't be initialised")
    AES_128_CTR = EVP_CIPHER_fetch(NULL, b"AES-128-CTR", NULL)
    if AES_128_CTR is NULL:
        raise ImportError("libcrypto has no AES-128-CTR")
    if sizeof(HopKeys) != EXPANDED or len(_SEED) != SEED:
        raise ImportError("HopKeys isn't laid out as HKDF's output")
    memset(ZEROS, 0, sizeof(ZEROS))
    _scalar(INVERSE_OF_8, pow(8, -1, _ORDER))
    _scalar(TWO_TO_126, 2**126)
    _scalar(TWO_TO_MINUS_126, pow(2**126, -1, _ORDER))
    _scalar(BASE_POINT, 9)
    _copy(INFO, _SEED)
    _copy(VERSION, b"\x00\x01\x00")
    cdef Work work
    hmac_key(&work, ZEROS, DIGEST)
    NO_SALT.inner = work.hmac.inner
    NO_SALT.outer = work.hmac.outer


# The group. docs/protocol/sphinx.md, "Group": products by scalars modulo l, as they stand, while
# libsodium clamps what it is given. On the subgroup of prime order l, u(nP) = u(-nP), so n may be
# replaced by any c = +-n (mod l); a c that is clamped already passes through the clamping as it is.


cdef inline unsigned int in_clamping_range(const byte *t) noexcept nogil:
    # 1 if 2^251 <= t < 2^252, so that 8t is clamped; without a branch, t being secret.
    cdef unsigned int off = (t[31] >> 3) ^ 1
    return ((off - 1) >> 31) & 1


cdef bint clamp(Work *w, const byte *n) noexcept nogil:
    # w.clamped = 8t where t = +-n/8 (mod l), 2^251 <= t < 2^252; False if neither sign has one.
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


cdef int product(Work *w, byte *q, const byte *n, const byte *p) noexcept nogil:
    # q = n*p. q may not be p, nor lie in w.point.
    #
    # l = 2^252 + d with d < 2^125, so `clamp` fails just for n = 8t with |t| <= d. Such an n is
    # the product of two scalars that both have a clamped form, and u(abP) = u(a(bP)):
    #   a = 2^126 n, where a/8 = 2^126 t: 2^126 <= |2^126 t| < 2^251, and l less that is in range;
    #   b = 2^-126, whose form the tests hold `clamp` to.
    # The branch tells that n was one of these, which a random one is once in 2^127 times.
    if clamp(w, n):
        return OK if crypto_scalarmult(q, w.clamped, p) == 0 else LOW_ORDER
    clamp(w, TWO_TO_MINUS_126)
    if crypto_scalarmult(w.point, w.clamped, p) != 0:
        return LOW_ORDER
    crypto_core_ed25519_scalar_mul(w.part, n, TWO_TO_126)
    if not clamp(w, w.part):
        return ZERO_SCALAR
    return OK if crypto_scalarmult(q, w.clamped, w.point) == 0 else LOW_ORDER


cdef int base_product(Work *w, byte *q, const byte *n) noexcept nogil:
    if clamp(w, n):
        return OK if crypto_scalarmult_base(q, w.clamped) == 0 else LOW_ORDER
    return product(w, q, n, BASE_POINT)


# HMAC and HKDF over SHA-256. The states after the two padded keys are kept and copied, which
# halves the compressions of a short message.


cdef void hmac_key(Work *w, const byte *key, int length) noexcept nogil:
    # Sets w.hmac. `length` is at most 64 here, so a key is never hashed first.
    cdef int i
    memset(w.padded_key, 0x36, SHA_BLOCK)
    for i in range(length):
        w.padded_key[i] ^= key[i]
    SHA256_Init(&w.hmac.inner)
    SHA256_Update(&w.hmac.inner, w.padded_key, SHA_BLOCK)
    for i in range(SHA_BLOCK):
        w.padded_key[i] ^= 0x36 ^ 0x5c
    SHA256_Init(&w.hmac.outer)
    SHA256_Update(&w.hmac.outer, w.padded_key, SHA_BLOCK)


cdef void hmac(Work *w, byte *out, const HmacKey *key, const byte *data,
               size_t length) noexcept nogil:
    # 32 bytes to `out`, which may be part of `data`.
    w.sha = key.inner
    SHA256_Update(&w.sha, data, length)
    SHA256_Final(w.digest, &w.sha)
    w.sha = key.outer
    SHA256_Update(&w.sha, w.digest, DIGEST)
    SHA256_Final(out, &w.sha)


cdef void header_mac(Work *w, byte *out, const HopKeys *keys, const byte *beta) noexcept nogil:
    hmac_key(w, keys.mac, 16)
    hmac(w, w.digest, &w.hmac, beta, BETA)
    memcpy(out, w.digest, MAC)


cdef void derive_keys(Work *w, HopKeys *keys, const byte *shared) noexcept nogil:
    cdef byte *out = <byte *>keys
    cdef int i
    hmac(w, w.digest, &NO_SALT, shared, KEY)
    hmac_key(w, w.digest, DIGEST)
    memcpy(w.expand + DIGEST, INFO, SEED)
    for i in range(EXPANDED // DIGEST):
        w.expand[DIGEST + SEED] = <byte>(i + 1)
        if i == 0:
            hmac(w, w.expand, &w.hmac, w.expand + DIGEST, SEED + 1)
        else:
            hmac(w, w.expand, &w.hmac, w.expand, DIGEST + SEED + 1)
        memcpy(out + i * DIGEST, w.expand, DIGEST)


# Ciphers. All of them run with a fixed nonce or IV: safe, since each key is derived for one hop of
# one packet and used there once.


cdef int stream_xor(Work *w, byte *out, const byte *data, int length,
                    const HopKeys *keys) noexcept nogil:
    # out = data ^ rho; over zeros, it is rho.
    cdef int written = 0
    if EVP_EncryptInit_ex2(w.aes, AES_128_CTR, keys.stream, ZEROS, NULL) != 1:
        return NO_CIPHER
    if EVP_EncryptUpdate(w.aes, out, &written, data, length) != 1 or written != length:
        return NO_CIPHER
    return OK


cdef void xor(byte *target, const byte *other, int length) noexcept nogil:
    cdef int i
    for i in range(length):
        target[i] ^= other[i]


cdef void lioness_chacha(Work *w, byte *block, const byte *key) noexcept nogil:
    memcpy(w.round_key, block, LIONESS_LEFT)
    xor(w.round_key, key, LIONESS_LEFT)
    crypto_stream_chacha20_xor(block + LIONESS_LEFT, block + LIONESS_LEFT, LIONESS_RIGHT, ZEROS,
                               w.round_key)


cdef void lioness_blake(Work *w, byte *block, const byte *key) noexcept nogil:
    crypto_generichash_blake2b(w.round_key, LIONESS_LEFT, block + LIONESS_LEFT, LIONESS_RIGHT,
                               key, 64)
    xor(block, w.round_key, LIONESS_LEFT)


cdef void lioness_encrypt_block(Work *w, byte *block, const byte *key) noexcept nogil:
    lioness_chacha(w, block, key)
    lioness_blake(w, block, key + 32)
    lioness_chacha(w, block, key + 96)
    lioness_blake(w, block, key + 128)


cdef void lioness_decrypt_block(Work *w, byte *block, const byte *key) noexcept nogil:
    lioness_blake(w, block, key + 128)
    lioness_chacha(w, block, key + 96)
    lioness_blake(w, block, key + 32)
    lioness_chacha(w, block, key)


# Packets.

cdef struct Packet:  # what a packet is made of, in C
    int hops
    byte addresses[HOPS][ADDRESS]
    byte public_keys[HOPS][KEY]
    uint64_t delays[HOPS]
    byte destination[ADDRESS]
    byte identifier[IDENTIFIER]
    byte padding[BETA]


cdef void put_delay(byte *out, uint64_t delay) noexcept nogil:
    cdef int i
    for i in range(8):
        out[i] = <byte>(delay >> (56 - 8 * i))


cdef uint64_t get_delay(const byte *data) noexcept nogil:
    cdef uint64_t delay = 0
    cdef int i
    for i in range(8):
        delay = (delay << 8) | data[i]
    return delay


cdef int build_keys(Work *w, const Packet *p) noexcept nogil:
    # keys[i] of each hop from a_0 = w.scalar, a_{i+1} = a_i * b_i.
    cdef int i, failure
    for i in range(p.hops):
        failure = product(w, w.shared, w.scalar, p.public_keys[i])
        if failure:
            return failure
        derive_keys(w, &w.keys[i], w.shared)
        failure = stream_xor(w, w.rho[i], ZEROS, KEYSTREAM, &w.keys[i])
        if failure:
            return failure
        if i + 1 < p.hops:
            crypto_core_ed25519_scalar_mul(w.scalar, w.scalar, w.keys[i].blinding)
    return OK


cdef void build_header(Work *w, const Packet *p, byte *gamma, byte *beta) noexcept nogil:
    cdef int last = p.hops - 1
    cdef int room = BETA - BLOCK * last  # of the last hop's own block and its random padding
    cdef byte *filler = beta + room
    cdef int i
    memset(filler, 0, BLOCK * last)
    for i in range(last):
        # The last BLOCK * (i + 1) bytes of the keystream, over as many of the filler so far.
        xor(filler, w.rho[i] + KEYSTREAM - BLOCK * (i + 1), BLOCK * (i + 1))

    beta[0] = FINAL
    memcpy(beta + 1, VERSION, 3)
    memcpy(beta + 4, p.destination, ADDRESS)
    memcpy(beta + 4 + ADDRESS, p.identifier, IDENTIFIER)
    memcpy(beta + FINAL_BLOCK, p.padding, room - FINAL_BLOCK)
    xor(beta, w.rho[last], room)
    header_mac(w, gamma, &w.keys[last], beta)

    for i in range(last - 1, -1, -1):
        memmove(beta + BLOCK, beta, BETA - BLOCK)
        beta[0] = FORWARD
        memcpy(beta + 1, VERSION, 3)
        memcpy(beta + 4, p.addresses[i + 1], ADDRESS)
        put_delay(beta + 36, p.delays[i])
        memcpy(beta + 44, gamma, MAC)
        xor(beta, w.rho[i], BETA)
        header_mac(w, gamma, &w.keys[i], beta)


cdef int build(Work *w, const Packet *p, byte *packet) noexcept nogil:
    # `packet` holds the padded payload at its end.
    cdef int i
    cdef int failure = base_product(w, packet, w.scalar)
    if failure == OK:
        failure = build_keys(w, p)
    if failure:
        return failure
    build_header(w, p, packet + KEY, packet + KEY + MAC)
    for i in range(p.hops - 1, -1, -1):
        lioness_encrypt_block(w, packet + HEADER, w.keys[i].payload)
    return OK


cdef int unwrap(Work *w, const byte *private_key, const byte *packet, byte *block,
                byte *out) noexcept nogil:
    # `block` gets the 60 bytes that are for this node; `out` the next packet.
    cdef const byte *gamma = packet + KEY
    cdef const byte *beta = packet + KEY + MAC
    cdef HopKeys *keys = &w.keys[0]
    cdef byte *routing = w.rho[0]
    cdef int failure = product(w, w.shared, private_key, packet)
    if failure:
        return failure
    derive_keys(w, keys, w.shared)
    header_mac(w, w.digest, keys, beta)
    if sodium_memcmp(w.digest, gamma, MAC) != 0:
        return WRONG_MAC

    memcpy(routing, beta, BETA)
    memset(routing + BETA, 0, BLOCK)
    failure = stream_xor(w, routing, routing, KEYSTREAM, keys)
    if failure:
        return failure
    if routing[0] != FORWARD and routing[0] != FINAL:
        return UNKNOWN_FLAG
    memcpy(block, routing, BLOCK)
    memcpy(out + HEADER, packet + HEADER, PAYLOAD)
    lioness_decrypt_block(w, out + HEADER, keys.payload)
    if routing[0] == FINAL:
        return OK
    memcpy(out + KEY, routing + 44, MAC)
    memcpy(out + KEY + MAC, routing + BLOCK, BETA)
    return product(w, out, keys.blinding, packet)


# What Python calls.


cdef int _raise(int failure) except -1:
    if failure == LOW_ORDER:
        raise GroupElementError("a group element of low order: no secret can be shared with it")
    if failure == ZERO_SCALAR:
        raise ScalarError("a secret that is zero modulo the order of the group")
    if failure == WRONG_MAC:
        raise MacError("the header's MAC is wrong: changed on the way, or meant for another node")
    if failure == UNKNOWN_FLAG:
        raise FlagError("the routing flag means neither forward nor final")
    if failure == NO_CIPHER:
        raise MemoryError("libcrypto could not set up AES-128-CTR")
    return 0


cdef int _take(byte *target, value, Py_ssize_t length, str what) except -1:
    if not isinstance(value, bytes):
        raise TypeError(f"{what} is bytes, not {type(value).__name__}")
    if len(value) != length:
        raise LengthError(f"{what} has {length} bytes, not {len(value)}")
    memcpy(target, PyBytes_AS_STRING(value), length)
    return 0


cdef int _take_packet(Packet *p, route, destination, identifier, padding) except -1:
    cdef Py_ssize_t room
    if not 1 <= len(route) <= HOPS:
        raise LengthError(f"a route has 1 to {HOPS} hops, not {len(route)}")
    p.hops = len(route)
    for i, (address, public_key, delay) in enumerate(route):
        _take(p.addresses[i], address, ADDRESS, "a hop's address")
        _take(p.public_keys[i], public_key, KEY, "a hop's public key")
        p.delays[i] = delay
    _take(p.destination, destination, ADDRESS, "a destination")
    _take(p.identifier, identifier, IDENTIFIER, "an identifier")
    room = BETA - BLOCK * (p.hops - 1) - FINAL_BLOCK
    if padding is None:
        # Random, so that the last hop can't tell from its block how long the route was.
        randombytes_buf(p.padding, room)
    else:
        _take(p.padding, padding, room, "the padding of this route's last hop")
    return 0


def create_packet(bytes payload not None, route, destination, identifier, secret, padding):
    """The packet, 1372 bytes, that carries a padded payload of 1024 along `route`.

    A `secret` or `padding` of None is drawn from the system's generator.
    """
    cdef Packet p
    cdef Work work
    cdef bytes packet
    cdef byte *out
    cdef int failure
    _take_packet(&p, route, destination, identifier, padding)
    packet = PyBytes_FromStringAndSize(NULL, PACKET)
    out = <byte *>PyBytes_AS_STRING(packet)
    _take(out + HEADER, payload, PAYLOAD, "a payload")
    if secret is not None:
        _take(work.scalar, secret, KEY, "a secret")
    with nogil:
        if secret is None:
            crypto_core_ed25519_scalar_random(work.scalar)
        work.aes = EVP_CIPHER_CTX_new()
        failure = build(&work, &p, out) if work.aes is not NULL else NO_CIPHER
        EVP_CIPHER_CTX_free(work.aes)
        sodium_memzero(&work, sizeof(work))
    _raise(failure)
    return packet


def process_packet(bytes packet not None, private_key):
    """One hop: (address, delay, next packet), or (destination, identifier, payload, None)."""
    cdef Work work
    cdef byte block[BLOCK]
    cdef bytes following
    cdef byte *out
    cdef const byte *data = <const byte *>PyBytes_AS_STRING(packet)
    cdef int failure
    if len(packet) != PACKET:
        raise LengthError(f"a packet has {PACKET} bytes, not {len(packet)}")
    following = PyBytes_FromStringAndSize(NULL, PACKET)
    out = <byte *>PyBytes_AS_STRING(following)
    _take(work.scalar, private_key, KEY, "a private key")
    with nogil:
        work.aes = EVP_CIPHER_CTX_new()
        failure = unwrap(&work, work.scalar, data, block, out) if work.aes is not NULL else NO_CIPHER
        EVP_CIPHER_CTX_free(work.aes)
        sodium_memzero(&work, sizeof(work))
    _raise(failure)
    address = (<const char *>block)[4:36]
    if block[0] == FORWARD:
        return address, get_delay(block + 36), following
    return address, (<const char *>block)[36:52], following[HEADER:], None


def multiply(scalar, point):
    """The u-coordinate of scalar * point, 32 bytes, for a point of the subgroup of order l.

    Raises GroupElementError, ScalarError, LengthError.
    """
    return _multiply(scalar, point)


def public_key(private_key):
    """The u-coordinate of private_key * base point, 32 bytes. Raises ScalarError, LengthError."""
    return _multiply(private_key, None)


cdef bytes _multiply(scalar, point):
    cdef Work work
    cdef byte target[KEY]
    cdef byte other[KEY]
    cdef int failure
    _take(work.scalar, scalar, KEY, "a scalar")
    if point is not None:
        _take(other, point, KEY, "a group element")
    with nogil:
        if point is not None:
            failure = product(&work, target, work.scalar, other)
        else:
            failure = base_product(&work, target, work.scalar)
        sodium_memzero(&work, sizeof(work))
    _raise(failure)
    result = (<const char *>target)[:KEY]
    sodium_memzero(target, sizeof(target))
    return result


# Single steps, which the published vectors check one by one.


def hop_keys(shared_secret):
    """(stream key, MAC key, payload key, blinding factor) of a shared secret of 32 bytes."""
    cdef Work work
    _take(work.shared, shared_secret, KEY, "a shared secret")
    derive_keys(&work, &work.keys[0], work.shared)
    cdef bytes expanded = (<const char *>&work.keys[0])[:EXPANDED]
    sodium_memzero(&work, sizeof(work))
    return expanded[:16], expanded[16:32], expanded[32:224], expanded[224:]


def lioness_encrypt(key, block):
    """One block of 1024 bytes, under a key of 192."""
    return _lioness(key, block, True)


def lioness_decrypt(key, block):
    """The inverse of `lioness_encrypt`."""
    return _lioness(key, block, False)


cdef bytes _lioness(key, block, bint encrypt):
    cdef Work work
    cdef bytes result = PyBytes_FromStringAndSize(NULL, PAYLOAD)
    cdef byte *out = <byte *>PyBytes_AS_STRING(result)
    _take(work.keys[0].payload, key, 192, "a LIONESS key")
    _take(out, block, PAYLOAD, "a LIONESS block")
    if encrypt:
        lioness_encrypt_block(&work, out, work.keys[0].payload)
    else:
        lioness_decrypt_block(&work, out, work.keys[0].payload)
    sodium_memzero(&work, sizeof(work))
    return result


_prepare()
