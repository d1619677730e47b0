# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Noise_XK_25519_ChaChaPoly_SHA256, revision 34 of the Noise specification (noiseprotocol.org).

The functions and the variables are named as there. The pattern, which has one message per line:

    <- s              known before: the initiator knows the responder's static key
    -> e, es
    <- e, ee
    -> s, se          the initiator's static key, sealed; the payload proves that it has it
    <- ->             transport messages

DH products are those of packets (nym/_curve.pyx), because a client's address is the public key of a
scalar that isn't clamped. On the subgroup of order l they are X25519's.

A session's own secrets live for one exchange of a second, so they are in ordinary memory, which is
wiped with the session: memory in pages of its own, as in nym/_secrets.pyx, would cost a server
several system calls per connection. All of them are gone as soon as a message is refused.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy, memset

from nym._checks cimport OK, byte, take
from nym._curve cimport KEY, CurveWork, base_product, product
from nym._sodium cimport (
    crypto_aead_chacha20poly1305_ietf_decrypt, crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_auth_hmacsha256, crypto_core_ed25519_scalar_random, crypto_hash_sha256_final,
    crypto_hash_sha256_init, crypto_hash_sha256_state, crypto_hash_sha256_update, sodium_init,
    sodium_memzero,
)

from nym.errors import LineError

cdef enum:
    HASH = 32  # HASHLEN
    TAG = 16
    NONCE = 12
    LONGEST = 65535  # bytes of a message, by the specification
    HANDSHAKE = 3  # messages
    REFUSED = -1  # a step: the session is over

# As long as a hash, so the specification takes it for the first one as it is.
cdef bytes NAME = b"Noise_XK_25519_ChaChaPoly_SHA256"
cdef str CHANGED = "the sealed line isn't with the peer that it is meant for, or it was changed"

if sodium_init() < 0:
    raise ImportError("libsodium can't be initialised")


cdef struct CipherState:  # secret
    byte k[KEY]
    unsigned long long n


cdef struct SymmetricState:  # secret
    CipherState cipher
    byte ck[HASH]
    byte h[HASH]


cdef struct Work:  # secret; wiped after each message
    CurveWork curve
    byte scalar[KEY]
    byte shared[KEY]
    byte temp_key[HASH]
    byte block[HASH + 1]


cdef void hkdf(Work *w, byte *first, byte *second, const byte *ck, const byte *material,
               size_t length) noexcept nogil:
    # HKDF with two outputs. `first` may be `ck`, which isn't needed any more then.
    crypto_auth_hmacsha256(w.temp_key, material, length, ck)
    w.block[0] = 1
    crypto_auth_hmacsha256(first, w.block, 1, w.temp_key)
    memcpy(w.block, first, HASH)
    w.block[HASH] = 2
    crypto_auth_hmacsha256(second, w.block, HASH + 1, w.temp_key)


cdef void mix_hash(SymmetricState *s, const byte *data, size_t length) noexcept nogil:
    cdef crypto_hash_sha256_state state
    crypto_hash_sha256_init(&state)
    crypto_hash_sha256_update(&state, s.h, HASH)
    crypto_hash_sha256_update(&state, data, length)
    crypto_hash_sha256_final(&state, s.h)


cdef void nonce(CipherState *cipher, byte *out) noexcept nogil:
    # Four zeros, and n, little-endian. A key is used for each n once: n only grows, and no session
    # comes anywhere near 2^64 messages.
    cdef int i
    memset(out, 0, NONCE)
    for i in range(8):
        out[4 + i] = <byte>(cipher.n >> (8 * i))
    cipher.n += 1


cdef void encrypt_with_ad(CipherState *cipher, byte *out, const byte *ad, size_t ad_length,
                          const byte *data, size_t length) noexcept nogil:
    # Writes length + TAG bytes.
    cdef byte n[NONCE]
    nonce(cipher, n)
    crypto_aead_chacha20poly1305_ietf_encrypt(
        out, NULL, data, length, ad, ad_length, NULL, n, cipher.k
    )


cdef int decrypt_with_ad(CipherState *cipher, byte *out, const byte *ad, size_t ad_length,
                         const byte *data, size_t length) noexcept nogil:
    # Writes length - TAG bytes. Returns 0 for success.
    cdef byte n[NONCE]
    nonce(cipher, n)
    return crypto_aead_chacha20poly1305_ietf_decrypt(
        out, NULL, NULL, data, length, ad, ad_length, n, cipher.k
    )


cdef class Session:
    """One side of a session. Each message is written by one side, and read by the other in turn.

    `remote` is the other side's static key; a responder knows it, and that the other side has its
    private key, when it has read the third message. Until then it is None.
    """

    cdef readonly bytes remote
    cdef object static  # the private key: a Secret
    cdef bint is_initiator
    cdef int step  # messages so far
    cdef SymmetricState symmetric
    cdef CipherState sending
    cdef CipherState receiving
    cdef byte e[KEY]
    cdef byte re[KEY]
    cdef byte s_public[KEY]
    cdef Work work

    def __cinit__(self, own, bytes remote, bytes prologue not None, ephemeral):
        self.static, public = own
        self.remote = remote
        self.is_initiator = remote is not None
        # Taken as given, which saves a product per session. If it isn't the private key's, the
        # handshake fails: a responder's is in the hash, and an initiator's is in the last product.
        take(self.s_public, public, KEY, "a public key")
        take(self.work.scalar, self.static, KEY, "a private key")  # now, and not halfway through
        sodium_memzero(&self.work, sizeof(self.work))
        if ephemeral is None:
            crypto_core_ed25519_scalar_random(self.e)
        else:
            take(self.e, ephemeral, KEY, "a private key")
        memcpy(self.symmetric.h, PyBytes_AS_STRING(NAME), HASH)
        memcpy(self.symmetric.ck, self.symmetric.h, HASH)
        mix_hash(&self.symmetric, <const byte *>PyBytes_AS_STRING(prologue), len(prologue))
        cdef byte known[KEY]
        if self.is_initiator:
            take(known, remote, KEY, "a public key")
            mix_hash(&self.symmetric, known, KEY)
        else:
            mix_hash(&self.symmetric, self.s_public, KEY)

    def __dealloc__(self):
        self.wipe()

    cdef void wipe(self) noexcept:
        sodium_memzero(&self.symmetric, sizeof(self.symmetric))
        sodium_memzero(&self.sending, sizeof(self.sending))
        sodium_memzero(&self.receiving, sizeof(self.receiving))
        sodium_memzero(self.e, KEY)
        sodium_memzero(&self.work, sizeof(self.work))

    def write(self, bytes payload not None):
        """The next message, with `payload` in it. It is this side's turn, or the handshake is over.

        Raises LineError if the other side's keys share no secret with this side's.
        """
        cdef Py_ssize_t before = self.overhead()
        cdef int failure = OK
        cdef bytes message
        if not self.may(self.is_initiator) or before + len(payload) + TAG > LONGEST:
            raise ValueError("it isn't this side's turn, or the message would be too long")
        message = PyBytes_FromStringAndSize(NULL, before + len(payload) + TAG)
        cdef byte *out = <byte *>PyBytes_AS_STRING(message)
        cdef const byte *data = <const byte *>PyBytes_AS_STRING(payload)
        if self.step >= HANDSHAKE:
            encrypt_with_ad(&self.sending, out, NULL, 0, data, len(payload))
            return message
        if self.step < 2:
            failure = base_product(&self.work.curve, out, self.e)
            if failure == OK:
                mix_hash(&self.symmetric, out, KEY)
        else:
            self.encrypt_and_hash(out, self.s_public, KEY)
        if failure == OK:
            failure = self.mix_product()
        if failure == OK:
            self.encrypt_and_hash(out + before, data, len(payload))
        self.finish(failure)
        return message

    def read(self, bytes message not None):
        """The payload of the other side's next message. Raises LineError; the session is then over.
        """
        cdef Py_ssize_t before = self.overhead(), length = len(message) - before - TAG
        cdef const byte *data = <const byte *>PyBytes_AS_STRING(message)
        cdef int failure = OK
        cdef bytes payload
        cdef byte rs[KEY]
        if not self.may(not self.is_initiator):
            raise ValueError("it isn't the other side's turn")
        if length < 0 or len(message) > LONGEST:
            self.finish(REFUSED)
        payload = PyBytes_FromStringAndSize(NULL, length)
        cdef byte *out = <byte *>PyBytes_AS_STRING(payload)
        if self.step >= HANDSHAKE:
            failure = decrypt_with_ad(&self.receiving, out, NULL, 0, data, len(message))
            if failure != 0:
                self.finish(REFUSED)
            return payload
        if self.step < 2:
            memcpy(self.re, data, KEY)
            mix_hash(&self.symmetric, self.re, KEY)
        else:
            failure = self.decrypt_and_hash(rs, data, before)
            if failure == OK:
                self.remote = PyBytes_FromStringAndSize(<char *>rs, KEY)
        if failure == OK:
            failure = self.mix_product()
        if failure == OK:
            failure = self.decrypt_and_hash(out, data + before, length + TAG)
        if failure != OK and not self.is_initiator:
            self.remote = None  # it proved nothing
        self.finish(failure)
        return payload

    cdef bint may(self, bint writes_first):
        # Whether the side that is asked about writes the next message.
        return self.step >= HANDSHAKE or (self.step >= 0 and (self.step % 2 == 0) == writes_first)

    cdef Py_ssize_t overhead(self):
        # What stands in the next message before the payload: an ephemeral key, or a sealed static.
        if self.step >= HANDSHAKE:
            return 0
        return KEY if self.step < 2 else KEY + TAG

    cdef int mix_product(self) except? -2:
        # MixKey with the product of this step: es, ee or se.
        cdef Work *w = &self.work
        cdef byte point[KEY]
        cdef int failure
        if self.step == 0 and not self.is_initiator or self.step == 2 and self.is_initiator:
            take(w.scalar, self.static, KEY, "a private key")
        else:
            memcpy(w.scalar, self.e, KEY)
        if self.step == 0 and self.is_initiator or self.step == 2 and not self.is_initiator:
            take(point, self.remote, KEY, "a public key")
        else:
            memcpy(point, self.re, KEY)
        # A product of zero would not depend on the scalar: `product` refuses it.
        failure = product(&w.curve, w.shared, w.scalar, point)
        if failure == OK:
            hkdf(w, self.symmetric.ck, self.symmetric.cipher.k, self.symmetric.ck, w.shared, KEY)
            self.symmetric.cipher.n = 0
        return failure

    cdef void encrypt_and_hash(self, byte *out, const byte *data, size_t length) noexcept:
        encrypt_with_ad(&self.symmetric.cipher, out, self.symmetric.h, HASH, data, length)
        mix_hash(&self.symmetric, out, length + TAG)

    cdef int decrypt_and_hash(self, byte *out, const byte *data, size_t length) noexcept:
        cdef int failure = decrypt_with_ad(
            &self.symmetric.cipher, out, self.symmetric.h, HASH, data, length
        )
        mix_hash(&self.symmetric, data, length)
        return failure

    cdef int finish(self, int failure) except -1:
        # Ends this step, or the whole session.
        if failure != OK:
            self.step = REFUSED
            self.wipe()
            raise LineError(CHANGED)
        self.step += 1
        if self.step == HANDSHAKE:
            self.split()
        sodium_memzero(&self.work, sizeof(self.work))
        return 0

    cdef void split(self) noexcept:
        cdef CipherState *first = &self.sending if self.is_initiator else &self.receiving
        cdef CipherState *second = &self.receiving if self.is_initiator else &self.sending
        hkdf(&self.work, first.k, second.k, self.symmetric.ck, NULL, 0)
        first.n = second.n = 0
        # Nobody who takes this side's memory from now on can read the handshake.
        sodium_memzero(&self.symmetric, sizeof(self.symmetric))
        sodium_memzero(self.e, KEY)


def initiate(own, bytes remote not None, bytes prologue not None, ephemeral=None):
    """A session that this side begins, with the responder that has the public key `remote`.

    `own` are this side's keys: the private one, a scalar modulo l that isn't zero, and the public
    one, which must be its product with the base point. `ephemeral` is for vectors only. Raises
    LengthError.
    """
    return Session(own, remote, prologue, ephemeral)


def respond(own, bytes prologue not None, ephemeral=None):
    """A session that the other side begins; see `initiate`."""
    return Session(own, None, prologue, ephemeral)
