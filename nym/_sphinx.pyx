# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Building a Sphinx packet, and unwrapping one hop of it (docs/protocol/sphinx.md).

All work on one packet happens in one `Work` on the C stack, without the GIL. It ends with one
sodium_memzero over the `Work`, so no key, scalar or keystream outlives it, whichever path a
function takes. Routes and destinations tell who talks to whom, so a `Packet` and a hop's block are
wiped, too, even if an argument is refused half-way. The libraries clear their own temporary values;
EVP_CIPHER_CTX_free clears the expanded AES key.

C functions return a `Failure` code. `check` turns it into the typed error.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memmove, memset

from nym._checks cimport NO_CIPHER, OK, UNKNOWN_FLAG, WRONG_MAC, byte, check, take
from nym._ciphers cimport (
    BETA, KEYSTREAM, MAC, PAYLOAD, CipherWork, HopKeys, decrypt_payload, derive_keys,
    encrypt_payload, header_mac, is_header_mac, stream_xor, xor,
)
from nym._crypto cimport EVP_CIPHER_CTX_free, EVP_CIPHER_CTX_new
from nym._curve cimport KEY, CurveWork, base_product, product
from nym._sodium cimport (
    crypto_core_ed25519_scalar_mul, crypto_core_ed25519_scalar_random,
    crypto_generichash_blake2b, randombytes_buf, sodium_memzero,
)

from nym.errors import LengthError

cdef enum:
    ADDRESS = 32
    IDENTIFIER = 16
    BLOCK = 60  # flag 1, version 3, address 32, delay 8, MAC 16
    HOPS = 5
    HEADER = KEY + MAC + BETA
    PACKET = HEADER + PAYLOAD
    FINAL_BLOCK = 4 + ADDRESS + IDENTIFIER
    TAG = 16

    FORWARD = 1
    FINAL = 2

cdef struct Packet:  # what a packet is made from; its owner wipes it
    int hops
    byte addresses[HOPS][ADDRESS]
    byte public_keys[HOPS][KEY]
    uint64_t delays[HOPS]
    byte destination[ADDRESS]
    byte identifier[IDENTIFIER]
    byte padding[BETA]

cdef struct Work:  # everything secret about one packet
    byte scalar[KEY]
    byte shared[KEY]
    HopKeys keys[HOPS]
    byte rho[HOPS][KEYSTREAM]
    CurveWork curve
    CipherWork cipher

cdef byte ZEROS[KEYSTREAM]
cdef byte VERSION[3]
memset(ZEROS, 0, sizeof(ZEROS))
take(VERSION, b"\x00\x01\x00", 3, "the version")


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


# Building: "Key schedule", "Header", "Payload".


cdef int build_keys(Work *w, const Packet *p) noexcept nogil:
    # Computes the keys and the keystream of each hop i: a_0 = w.scalar, a_{i+1} = a_i * b_i, where
    # b_i is the blinding factor of hop i.
    cdef int i, failure
    for i in range(p.hops):
        failure = product(&w.curve, w.shared, w.scalar, p.public_keys[i])
        if failure:
            return failure
        derive_keys(&w.cipher, &w.keys[i], w.shared)
        failure = stream_xor(&w.cipher, w.rho[i], ZEROS, KEYSTREAM, &w.keys[i])
        if failure:
            return failure
        if i + 1 < p.hops:
            crypto_core_ed25519_scalar_mul(w.scalar, w.scalar, w.keys[i].blinding)
    return OK


cdef void build_header(Work *w, const Packet *p, byte *gamma, byte *beta) noexcept nogil:
    cdef int last = p.hops - 1
    cdef int room = BETA - BLOCK * last  # for the last hop's own block and its random padding
    cdef byte *filler = beta + room
    cdef int i
    memset(filler, 0, BLOCK * last)
    for i in range(last):
        # Each node before the last one shifts a zero block in from the right and encrypts it. So
        # after node i, the filler has BLOCK * (i + 1) bytes, XORed with the last bytes of its rho.
        xor(filler, w.rho[i] + KEYSTREAM - BLOCK * (i + 1), BLOCK * (i + 1))

    # Built from the last hop to the first, because each header contains the next hop's one.
    beta[0] = FINAL
    memcpy(beta + 1, VERSION, 3)
    memcpy(beta + 4, p.destination, ADDRESS)
    memcpy(beta + 4 + ADDRESS, p.identifier, IDENTIFIER)
    memcpy(beta + FINAL_BLOCK, p.padding, room - FINAL_BLOCK)
    xor(beta, w.rho[last], room)
    header_mac(&w.cipher, gamma, &w.keys[last], beta)

    for i in range(last - 1, -1, -1):
        memmove(beta + BLOCK, beta, BETA - BLOCK)
        beta[0] = FORWARD
        memcpy(beta + 1, VERSION, 3)
        memcpy(beta + 4, p.addresses[i + 1], ADDRESS)
        put_delay(beta + 36, p.delays[i])
        memcpy(beta + 44, gamma, MAC)
        xor(beta, w.rho[i], BETA)
        header_mac(&w.cipher, gamma, &w.keys[i], beta)


cdef int build(Work *w, const Packet *p, byte *packet) noexcept nogil:
    # On entry, `packet` has the padded payload at its end.
    cdef int i
    cdef int failure = base_product(&w.curve, packet, w.scalar)
    if failure == OK:
        failure = build_keys(w, p)
    if failure:
        return failure
    build_header(w, p, packet + KEY, packet + KEY + MAC)
    for i in range(p.hops - 1, -1, -1):
        encrypt_payload(&w.cipher, packet + HEADER, &w.keys[i])
    return OK


# Unwrapping: "Processing".


cdef int unwrap(Work *w, const byte *packet, byte *block, byte *tag, byte *out) noexcept nogil:
    # Unwraps `packet` for the node with the private key w.scalar. `block` gets the 60 bytes for
    # this node, `tag` what the packet is recognised by, `out` the next packet.
    cdef const byte *gamma = packet + KEY
    cdef const byte *beta = packet + KEY + MAC
    cdef HopKeys *keys = &w.keys[0]
    cdef byte *routing = w.rho[0]
    cdef int failure = product(&w.curve, w.shared, w.scalar, packet)
    if failure:
        return failure
    derive_keys(&w.cipher, keys, w.shared)
    # Before anything is decrypted.
    if not is_header_mac(&w.cipher, gamma, keys, beta):
        return WRONG_MAC

    # From the shared secret, because somebody who plays the packet again can change all else:
    # the payload has no MAC here, and several group elements give the same secret. A hash,
    # because nodes keep tags, and the secret opens the packet.
    crypto_generichash_blake2b(tag, TAG, w.shared, KEY, NULL, 0)

    memcpy(routing, beta, BETA)
    memset(routing + BETA, 0, BLOCK)
    failure = stream_xor(&w.cipher, routing, routing, KEYSTREAM, keys)
    if failure:
        return failure
    if routing[0] != FORWARD and routing[0] != FINAL:
        return UNKNOWN_FLAG
    memcpy(block, routing, BLOCK)
    memcpy(out + HEADER, packet + HEADER, PAYLOAD)
    decrypt_payload(&w.cipher, out + HEADER, keys)
    if routing[0] == FINAL:
        return OK
    memcpy(out + KEY, routing + 44, MAC)
    memcpy(out + KEY + MAC, routing + BLOCK, BETA)
    return product(&w.curve, out, keys.blinding, packet)


# What Python calls.


cdef int take_packet(Packet *p, route, destination, identifier, padding) except -1:
    cdef Py_ssize_t room
    if not 1 <= len(route) <= HOPS:
        raise LengthError(f"a route has 1 to {HOPS} hops, not {len(route)}")
    p.hops = len(route)
    for i, (address, public_key, delay) in enumerate(route):
        take(p.addresses[i], address, ADDRESS, "a hop's address")
        take(p.public_keys[i], public_key, KEY, "a hop's public key")
        p.delays[i] = delay
    take(p.destination, destination, ADDRESS, "a destination")
    take(p.identifier, identifier, IDENTIFIER, "an identifier")
    room = BETA - BLOCK * (p.hops - 1) - FINAL_BLOCK
    if padding is None:
        # Random: zeros would show the last hop where its padding ends, so how long the route was.
        randombytes_buf(p.padding, room)
    else:
        take(p.padding, padding, room, "the padding of this route's last hop")
    return 0


def create_packet(bytes payload not None, route, destination, identifier, secret, padding):
    """The packet, 1372 bytes, that carries a padded payload of 1024 along `route`.

    A `secret` or `padding` of None is drawn from the system's random number generator.
    """
    cdef Packet p
    cdef Work work
    cdef bytes packet
    cdef byte *out
    cdef int failure
    try:
        take_packet(&p, route, destination, identifier, padding)
        packet = PyBytes_FromStringAndSize(NULL, PACKET)
        out = <byte *>PyBytes_AS_STRING(packet)
        take(out + HEADER, payload, PAYLOAD, "a payload")
        if secret is not None:
            take(work.scalar, secret, KEY, "a secret")
        with nogil:
            if secret is None:
                crypto_core_ed25519_scalar_random(work.scalar)
            work.cipher.aes = EVP_CIPHER_CTX_new()
            failure = build(&work, &p, out) if work.cipher.aes is not NULL else NO_CIPHER
            EVP_CIPHER_CTX_free(work.cipher.aes)
            sodium_memzero(&work, sizeof(work))
        check(failure)
    finally:
        sodium_memzero(&p, sizeof(p))
    return packet


def process_packet(bytes packet not None, private_key):
    """Unwrap one hop of a packet.

    Returns ("forward", tag, address, delay, packet) or
    ("final", tag, destination, identifier, payload).
    """
    cdef Work work
    cdef byte block[BLOCK]
    cdef byte tag[TAG]
    cdef bytes following
    cdef byte *out
    cdef const byte *data = <const byte *>PyBytes_AS_STRING(packet)
    cdef int failure
    if len(packet) != PACKET:
        raise LengthError(f"a packet has {PACKET} bytes, not {len(packet)}")
    following = PyBytes_FromStringAndSize(NULL, PACKET)
    out = <byte *>PyBytes_AS_STRING(following)
    take(work.scalar, private_key, KEY, "a private key")
    with nogil:
        work.cipher.aes = EVP_CIPHER_CTX_new()
        failure = unwrap(&work, data, block, tag, out) if work.cipher.aes is not NULL else NO_CIPHER
        EVP_CIPHER_CTX_free(work.cipher.aes)
        sodium_memzero(&work, sizeof(work))
    try:
        check(failure)
        name = (<const char *>tag)[:TAG]
        address = (<const char *>block)[4:36]
        if block[0] == FORWARD:
            return "forward", name, address, get_delay(block + 36), following
        return "final", name, address, (<const char *>block)[36:52], following[HEADER:]
    finally:
        sodium_memzero(block, sizeof(block))
