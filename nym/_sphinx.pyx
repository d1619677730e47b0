# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Building Sphinx packets, and unwrapping one hop of them (docs/protocol/sphinx.md).

Up to eight packets are a `Batch`. They go through their hops in step, because eight products at
once take little more time than one (nym/_products.pyx). One that fails drops out, and the others go
on. A single packet is a batch of one.

All work on a batch happens on the C stack, without the GIL. It ends with one sodium_memzero over
it, so no key, scalar or keystream outlives it, whichever path a function takes. Routes and
destinations tell who talks to whom, so a `Packet` and a hop's block are wiped, too, even if an
argument is refused half-way. The libraries clear their own temporary values; EVP_CIPHER_CTX_free
clears the expanded AES key.

C functions return a `Failure` code. `check` turns it into the typed error.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memmove, memset

from nym._checks cimport (
    NO_CIPHER, OK, UNKNOWN_FLAG, WRONG_LENGTH, WRONG_MAC, byte, check, take,
)
from nym._ciphers cimport (
    BETA, KEYSTREAM, MAC, PAYLOAD, CipherWork, HopKeys, decrypt_payload, derive_keys,
    encrypt_payload, header_mac, is_header_mac, stream_xor, xor,
)
from nym._crypto cimport EVP_CIPHER_CTX_free, EVP_CIPHER_CTX_new
from nym._curve cimport KEY
from nym._products cimport LANES, Lane, products
from nym._sodium cimport (
    crypto_core_ed25519_scalar_mul, crypto_core_ed25519_scalar_random,
    crypto_generichash_blake2b, randombytes_buf, sodium_memzero,
)

from nym.errors import LengthError, SphinxError

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

cdef struct Work:  # everything secret about one packet, but for its lane
    byte scalar[KEY]
    byte shared[KEY]
    HopKeys keys[HOPS]
    byte rho[HOPS][KEYSTREAM]
    byte block[BLOCK]  # what the node that unwraps it has to do
    byte tag[TAG]  # what it recognises the packet by

cdef struct Batch:
    int count
    byte private_key[KEY]  # of the node that unwraps these packets
    CipherWork cipher
    Lane lanes[LANES]  # the products of each packet, one after the other, and its failure
    Work works[LANES]  # at the end, because `wipe` leaves out those that no packet had

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


cdef inline void start(Batch *b, int i) noexcept nogil:
    # The batch has this packet, too.
    b.lanes[i].failure = OK
    b.count = i + 1


cdef inline void want(Batch *b, int i, byte *q, const byte *n, const byte *p) noexcept nogil:
    b.lanes[i].q, b.lanes[i].n, b.lanes[i].p = q, n, p


cdef inline void wipe(Batch *b) noexcept nogil:
    sodium_memzero(b, sizeof(Batch) - (LANES - b.count) * sizeof(Work))


# Building: "Key schedule", "Header", "Payload".


cdef int derive(CipherWork *cipher, Work *w, int hop) noexcept nogil:
    # The keys and the keystream of a hop, from the secret shared with it, and the next scalar.
    derive_keys(cipher, &w.keys[hop], w.shared)
    crypto_core_ed25519_scalar_mul(w.scalar, w.scalar, w.keys[hop].blinding)
    return stream_xor(cipher, w.rho[hop], ZEROS, KEYSTREAM, &w.keys[hop])


cdef void build_keys(Batch *b, const Packet *packets) noexcept nogil:
    # For each hop i: a_0 = w.scalar, a_{i+1} = a_i * b_i; b_i is the blinding factor of hop i.
    cdef Work *w
    cdef int hop, i
    for hop in range(HOPS):
        for i in range(b.count):
            w = &b.works[i]
            if hop < packets[i].hops:
                want(b, i, w.shared, w.scalar, packets[i].public_keys[hop])
            else:
                want(b, i, NULL, NULL, NULL)
        products(b.lanes, b.count)
        for i in range(b.count):
            if hop < packets[i].hops and b.lanes[i].failure == OK:
                b.lanes[i].failure = derive(&b.cipher, &b.works[i], hop)


cdef void build_header(
    CipherWork *cipher, const Work *w, const Packet *p, byte *gamma, byte *beta
) noexcept nogil:
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
    header_mac(cipher, gamma, &w.keys[last], beta)

    for i in range(last - 1, -1, -1):
        memmove(beta + BLOCK, beta, BETA - BLOCK)
        beta[0] = FORWARD
        memcpy(beta + 1, VERSION, 3)
        memcpy(beta + 4, p.addresses[i + 1], ADDRESS)
        put_delay(beta + 36, p.delays[i])
        memcpy(beta + 44, gamma, MAC)
        xor(beta, w.rho[i], BETA)
        header_mac(cipher, gamma, &w.keys[i], beta)


cdef void build(Batch *b, const Packet *packets, byte **out) noexcept nogil:
    # On entry, each of `out` has the padded payload at its end.
    cdef int hop, i
    for i in range(b.count):
        want(b, i, out[i], b.works[i].scalar, NULL)
    products(b.lanes, b.count)
    build_keys(b, packets)
    for i in range(b.count):
        if b.lanes[i].failure == OK:
            build_header(&b.cipher, &b.works[i], &packets[i], out[i] + KEY, out[i] + KEY + MAC)
            for hop in range(packets[i].hops - 1, -1, -1):
                encrypt_payload(&b.cipher, out[i] + HEADER, &b.works[i].keys[hop])


# Unwrapping: "Processing".


cdef int open_packet(CipherWork *cipher, Work *w, const byte *packet, byte *out) noexcept nogil:
    # Opens `packet` with w.shared. `out` gets the next packet without its group element.
    cdef const byte *gamma = packet + KEY
    cdef const byte *beta = packet + KEY + MAC
    cdef HopKeys *keys = &w.keys[0]
    cdef byte *routing = w.rho[0]
    cdef int failure
    derive_keys(cipher, keys, w.shared)
    # Before anything is decrypted.
    if not is_header_mac(cipher, gamma, keys, beta):
        return WRONG_MAC

    # From the shared secret, because somebody who plays the packet again can change all else:
    # the payload has no MAC here, and several group elements give the same secret. A hash,
    # because nodes keep tags, and the secret opens the packet.
    crypto_generichash_blake2b(w.tag, TAG, w.shared, KEY, NULL, 0)

    memcpy(routing, beta, BETA)
    memset(routing + BETA, 0, BLOCK)
    failure = stream_xor(cipher, routing, routing, KEYSTREAM, keys)
    if failure:
        return failure
    if routing[0] != FORWARD and routing[0] != FINAL:
        return UNKNOWN_FLAG
    memcpy(w.block, routing, BLOCK)
    memcpy(out + HEADER, packet + HEADER, PAYLOAD)
    decrypt_payload(cipher, out + HEADER, keys)
    if routing[0] == FORWARD:
        memcpy(out + KEY, routing + 44, MAC)
        memcpy(out + KEY + MAC, routing + BLOCK, BETA)
    return OK


cdef void unwrap(Batch *b, const byte **packets, byte **out) noexcept nogil:
    cdef Work *w
    cdef int i
    for i in range(b.count):
        want(b, i, b.works[i].shared, b.private_key, packets[i])
    products(b.lanes, b.count)
    for i in range(b.count):
        w = &b.works[i]
        if b.lanes[i].failure == OK:
            b.lanes[i].failure = open_packet(&b.cipher, w, packets[i], out[i])
        if b.lanes[i].failure == OK and w.block[0] == FORWARD:
            want(b, i, out[i], w.keys[0].blinding, packets[i])
        else:
            want(b, i, NULL, NULL, NULL)
    products(b.lanes, b.count)


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


cdef int set_up(CipherWork *cipher) except -1:
    cipher.aes = EVP_CIPHER_CTX_new()
    return check(OK if cipher.aes is not NULL else NO_CIPHER)


def create_packets(requests):
    """The packets, 1372 bytes each, for (payload, route, destination, identifier, secret, padding).

    Each carries a padded payload of 1024 bytes along its route. A `secret` or `padding` of None is
    drawn from the system's random number generator.
    """
    made = []
    for first in range(0, len(requests), LANES):
        made += create_batch(requests[first:first + LANES])
    return made


cdef list create_batch(requests):
    cdef Packet packets[LANES]
    cdef Batch batch
    cdef byte *out[LANES]
    cdef bytes packet
    cdef int i
    made = []
    batch.count = 0
    try:
        for i, (payload, route, destination, identifier, secret, padding) in enumerate(requests):
            start(&batch, i)
            take_packet(&packets[i], route, destination, identifier, padding)
            packet = PyBytes_FromStringAndSize(NULL, PACKET)
            made.append(packet)
            out[i] = <byte *>PyBytes_AS_STRING(packet)
            take(out[i] + HEADER, payload, PAYLOAD, "a payload")
            if secret is None:
                crypto_core_ed25519_scalar_random(batch.works[i].scalar)
            else:
                take(batch.works[i].scalar, secret, KEY, "a secret")
        set_up(&batch.cipher)
        with nogil:
            build(&batch, packets, out)
            EVP_CIPHER_CTX_free(batch.cipher.aes)
        for i in range(batch.count):
            check(batch.lanes[i].failure)
    finally:
        sodium_memzero(packets, batch.count * sizeof(Packet))
        wipe(&batch)
    return made


def process_packet(packet, private_key):
    """Unwrap one hop of a packet.

    Returns ("forward", tag, address, delay, packet) or
    ("final", tag, destination, identifier, payload).
    """
    outcome, = process_batch([packet], private_key)
    if isinstance(outcome, SphinxError):
        raise outcome
    return outcome


def process_packets(packets, private_key):
    """Unwrap one hop of each packet. In the place of one that is refused is the error."""
    outcomes = []
    for first in range(0, len(packets), LANES):
        # A list of their own keeps the packets while there is no GIL.
        outcomes += process_batch(list(packets[first:first + LANES]), private_key)
    return outcomes


cdef list process_batch(list packets, private_key):
    cdef Batch batch
    cdef const byte *data[LANES]
    cdef byte *out[LANES]
    cdef bytes packet, following
    cdef int i
    made = []
    batch.count = 0
    try:
        take(batch.private_key, private_key, KEY, "a private key")
        for i, packet in enumerate(packets):
            if packet is None:
                raise TypeError("a packet is bytes, not None")
            start(&batch, i)
            if len(packet) != PACKET:
                batch.lanes[i].failure = WRONG_LENGTH
            following = PyBytes_FromStringAndSize(NULL, PACKET)
            made.append(following)
            data[i] = <const byte *>PyBytes_AS_STRING(packet)
            out[i] = <byte *>PyBytes_AS_STRING(following)
        set_up(&batch.cipher)
        with nogil:
            unwrap(&batch, data, out)
            EVP_CIPHER_CTX_free(batch.cipher.aes)
        return [outcome(&batch, i, packets[i], made[i]) for i in range(batch.count)]
    finally:
        wipe(&batch)


cdef outcome(Batch *b, int i, bytes packet, bytes following):
    cdef Work *w = &b.works[i]
    try:
        if b.lanes[i].failure == WRONG_LENGTH:
            raise LengthError(f"a packet has {PACKET} bytes, not {len(packet)}")
        check(b.lanes[i].failure)
    except SphinxError as error:
        return error
    tag = (<const char *>w.tag)[:TAG]
    address = (<const char *>w.block)[4:36]
    if w.block[0] == FORWARD:
        return "forward", tag, address, get_delay(w.block + 36), following
    return "final", tag, address, (<const char *>w.block)[36:52], following[HEADER:]
