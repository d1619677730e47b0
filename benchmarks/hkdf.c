/* A hop's 256 bytes from HKDF-SHA256, three ways; each function makes them `times` times.
 *
 * nym/_ciphers.pyx does it the first way. libcrypto has deprecated that in favour of the others, which
 * keep a state on the heap behind a pointer and allocate another one for each copy.
 */
#define OPENSSL_SUPPRESS_DEPRECATED 1
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <string.h>

enum { DIGEST = 32, BLOCK = 64, INFO = 97, OUT = 256 };

typedef unsigned char byte;
typedef void Hmac(byte *out, const byte *data, size_t length); /* under the present key */
typedef void Key(const byte *key);

static void pad(byte *block, const byte *key, byte value) {
    memset(block, value, BLOCK);
    for (int i = 0; i < DIGEST; i++)
        block[i] ^= key[i];
}

static void hkdf(byte *out, const byte *secret, Key *set, Hmac *hmac) {
    static const byte no_salt[DIGEST];
    byte key[DIGEST], text[DIGEST + INFO + 1] = {0};
    set(no_salt);
    hmac(key, secret, DIGEST);
    set(key);
    for (int i = 0; i < OUT / DIGEST; i++) {
        text[DIGEST + INFO] = (byte)(i + 1);
        if (i == 0)
            hmac(text, text + DIGEST, INFO + 1);
        else
            hmac(text, text, sizeof text);
        memcpy(out + i * DIGEST, text, DIGEST);
    }
}

/* SHA256_*: the states after the two padded keys are plain structures. */
static SHA256_CTX inner, outer;

static void set_states(const byte *key) {
    byte block[BLOCK];
    pad(block, key, 0x36);
    SHA256_Init(&inner);
    SHA256_Update(&inner, block, BLOCK);
    pad(block, key, 0x5c);
    SHA256_Init(&outer);
    SHA256_Update(&outer, block, BLOCK);
}

static void hmac_of_states(byte *out, const byte *data, size_t length) {
    byte digest[DIGEST];
    SHA256_CTX state = inner;
    SHA256_Update(&state, data, length);
    SHA256_Final(digest, &state);
    state = outer;
    SHA256_Update(&state, digest, DIGEST);
    SHA256_Final(out, &state);
}

/* EVP_MD_CTX_copy_ex: the same with contexts that are allocated once. */
static EVP_MD *sha256;
static EVP_MD_CTX *inner_context, *outer_context, *context;

static void set_contexts(const byte *key) {
    byte block[BLOCK];
    pad(block, key, 0x36);
    EVP_DigestInit_ex2(inner_context, sha256, NULL);
    EVP_DigestUpdate(inner_context, block, BLOCK);
    pad(block, key, 0x5c);
    EVP_DigestInit_ex2(outer_context, sha256, NULL);
    EVP_DigestUpdate(outer_context, block, BLOCK);
}

static void hmac_of_contexts(byte *out, const byte *data, size_t length) {
    byte digest[DIGEST];
    EVP_MD_CTX_copy_ex(context, inner_context);
    EVP_DigestUpdate(context, data, length);
    EVP_DigestFinal_ex(context, digest, NULL);
    EVP_MD_CTX_copy_ex(context, outer_context);
    EVP_DigestUpdate(context, digest, DIGEST);
    EVP_DigestFinal_ex(context, out, NULL);
}

/* EVP_MAC: one context, told to begin again under the same key. */
static EVP_MAC_CTX *mac;

static void set_mac(const byte *key) {
    EVP_MAC_init(mac, key, DIGEST, NULL);
}

static void hmac_of_mac(byte *out, const byte *data, size_t length) {
    size_t written;
    EVP_MAC_init(mac, NULL, 0, NULL);
    EVP_MAC_update(mac, data, length);
    EVP_MAC_final(mac, out, &written, DIGEST);
}

int prepare(void) {
    char name[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("digest", name, 0),
                               OSSL_PARAM_construct_end()};
    sha256 = EVP_MD_fetch(NULL, name, NULL);
    inner_context = EVP_MD_CTX_new();
    outer_context = EVP_MD_CTX_new();
    context = EVP_MD_CTX_new();
    mac = EVP_MAC_CTX_new(EVP_MAC_fetch(NULL, "HMAC", NULL));
    return sha256 && inner_context && outer_context && context && mac &&
           EVP_MAC_CTX_set_params(mac, parameters);
}

void states(byte *out, const byte *secret, int times) {
    while (times--)
        hkdf(out, secret, set_states, hmac_of_states);
}

void contexts(byte *out, const byte *secret, int times) {
    while (times--)
        hkdf(out, secret, set_contexts, hmac_of_contexts);
}

void macs(byte *out, const byte *secret, int times) {
    while (times--)
        hkdf(out, secret, set_mac, hmac_of_mac);
}
