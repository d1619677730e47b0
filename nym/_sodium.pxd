# The functions of libsodium that the extensions use. Those that return int return 0 for success,
# unless noted otherwise.

cdef extern from "sodium.h" nogil:
    int sodium_init()  # 1 if it was initialised already, -1 if it failed
    void sodium_memzero(void *pnt, size_t length)
    int sodium_is_zero(const unsigned char *n, const size_t nlen)  # 1 if it is, in constant time
    int sodium_memcmp(const void *b1, const void *b2, size_t length)
    void *sodium_malloc(size_t size)
    void sodium_free(void *ptr)
    int sodium_base642bin(unsigned char *bin, size_t bin_maxlen, const char *b64, size_t b64_len,
                          const char *ignore, size_t *bin_len, const char **b64_end, int variant)
    char *sodium_bin2base64(char *b64, size_t b64_maxlen, const unsigned char *bin, size_t bin_len,
                            int variant)
    void randombytes_buf(void *buf, size_t size)

    # The buffers of each of these two must not overlap.
    int crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p)
    int crypto_scalarmult_base(unsigned char *q, const unsigned char *n)

    # Writes a key of 32 bytes, made from 16 bytes of data and a key of 32 bytes. If `c` is NULL, it
    # uses Salsa20's constant.
    int crypto_core_hsalsa20(unsigned char *out, const unsigned char *data,
                             const unsigned char *k, const unsigned char *c)

    # XSalsa20-Poly1305 with a tag of 16 bytes in front, as crypto_box_easy_afternm.
    int crypto_secretbox_easy(unsigned char *c, const unsigned char *m, unsigned long long mlen,
                              const unsigned char *n, const unsigned char *k)
    int crypto_secretbox_open_easy(unsigned char *m, const unsigned char *c,
                                   unsigned long long clen, const unsigned char *n,
                                   const unsigned char *k)

    # Returns 1 if `p` is the canonical encoding of a point of order l.
    int crypto_core_ed25519_is_valid_point(const unsigned char *p)
    void crypto_core_ed25519_scalar_random(unsigned char *r)
    void crypto_core_ed25519_scalar_mul(unsigned char *z, const unsigned char *x,
                                        const unsigned char *y)
    void crypto_core_ed25519_scalar_negate(unsigned char *neg, const unsigned char *s)

    # The original variant, with a nonce of 8 bytes and a block counter of 64 bits.
    int crypto_stream_chacha20_xor(unsigned char *c, const unsigned char *m,
                                   unsigned long long mlen, const unsigned char *n,
                                   const unsigned char *k)
    int crypto_aead_xchacha20poly1305_ietf_encrypt(
        unsigned char *c, unsigned long long *clen_p, const unsigned char *m,
        unsigned long long mlen, const unsigned char *ad, unsigned long long adlen,
        const unsigned char *nsec, const unsigned char *npub, const unsigned char *k)
    int crypto_aead_xchacha20poly1305_ietf_decrypt(
        unsigned char *m, unsigned long long *mlen_p, unsigned char *nsec, const unsigned char *c,
        unsigned long long clen, const unsigned char *ad, unsigned long long adlen,
        const unsigned char *npub, const unsigned char *k)
    # The variant of RFC 8439, with a nonce of 12 bytes. The output may be where the input is.
    int crypto_aead_chacha20poly1305_ietf_encrypt(
        unsigned char *c, unsigned long long *clen_p, const unsigned char *m,
        unsigned long long mlen, const unsigned char *ad, unsigned long long adlen,
        const unsigned char *nsec, const unsigned char *npub, const unsigned char *k)
    int crypto_aead_chacha20poly1305_ietf_decrypt(
        unsigned char *m, unsigned long long *mlen_p, unsigned char *nsec, const unsigned char *c,
        unsigned long long clen, const unsigned char *ad, unsigned long long adlen,
        const unsigned char *npub, const unsigned char *k)
    # Ed25519. A secret key has 64 bytes: the seed, and the public key, 32 bytes each.
    int crypto_sign_seed_keypair(unsigned char *pk, unsigned char *sk, const unsigned char *seed)
    int crypto_sign_detached(unsigned char *sig, unsigned long long *siglen_p,
                             const unsigned char *m, unsigned long long mlen,
                             const unsigned char *sk)
    # Also refuses public keys that aren't canonical or have a low order.
    int crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
                                    unsigned long long mlen, const unsigned char *pk)
    # The same keys for X25519. The first one clamps; the second one refuses what isn't a point of
    # order l.
    int crypto_sign_ed25519_sk_to_curve25519(unsigned char *x25519_sk, const unsigned char *sk)
    int crypto_sign_ed25519_pk_to_curve25519(unsigned char *x25519_pk, const unsigned char *pk)
    ctypedef struct crypto_hash_sha256_state:
        pass
    int crypto_hash_sha256_init(crypto_hash_sha256_state *state)
    int crypto_hash_sha256_update(crypto_hash_sha256_state *state, const unsigned char *data,
                                  unsigned long long inlen)
    int crypto_hash_sha256_final(crypto_hash_sha256_state *state, unsigned char *out)
    # HMAC-SHA-256 with a key of 32 bytes.
    int crypto_auth_hmacsha256(unsigned char *out, const unsigned char *data,
                               unsigned long long inlen, const unsigned char *k)
    int crypto_generichash_blake2b_salt_personal(
        unsigned char *out, size_t outlen, const unsigned char *data, unsigned long long inlen,
        const unsigned char *key, size_t keylen, const unsigned char *salt,
        const unsigned char *personal)
    int crypto_generichash_blake2b(unsigned char *out, size_t outlen,
                                   const unsigned char *data, unsigned long long inlen,
                                   const unsigned char *key, size_t keylen)
