/* The Montgomery ladder of RFC 7748 for eight pairs of scalar and point at once.

   A number modulo p = 2^255 - 19 has five limbs to the base 2^51. Each limb is a vector with one
   lane for each pair. A number is narrow if its limbs are below 2^51 + 2^16: then

   - IFMA, which multiplies the low 52 bits of its operands, misses none;
   - the number is below 2p, so p has to be taken away once at most.

   A number is wide if its limbs are below 2^60. Wide numbers can be added to and taken away from
   others, but not multiplied. All functions take and give narrow numbers, unless they say otherwise,
   and the comments say why the limbs stay that small.

   Which instructions run, and on which addresses, doesn't depend on numbers or scalars: the bits of
   scalars choose by masks. What is left of them on the stack is wiped. */

#include "ladder.h"

#ifdef __x86_64__

#include <immintrin.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>

enum { LIMBS = 5, WORDS = 4, BITS = 255, STACK = 16384 };

#define ON_LANES static __attribute__((target("avx512f,avx512ifma")))
#define INLINE_ON_LANES ON_LANES inline __attribute__((always_inline))

typedef __m512i lanes;
typedef struct { lanes limb[LIMBS]; } number;
typedef struct { lanes word[WORDS]; } words; /* 256 bits, little-endian */

INLINE_ON_LANES lanes all(uint64_t value) { return _mm512_set1_epi64((long long)value); }
INLINE_ON_LANES lanes add(lanes a, lanes b) { return _mm512_add_epi64(a, b); }
INLINE_ON_LANES lanes left(lanes a, unsigned bits) { return _mm512_slli_epi64(a, bits); }
INLINE_ON_LANES lanes right(lanes a, unsigned bits) { return _mm512_srli_epi64(a, bits); }
INLINE_ON_LANES lanes low_51(lanes a) { return _mm512_and_si512(a, all((1ULL << 51) - 1)); }

/* What overflows the highest limb counts 19 times in the lowest: 2^255 = 19 (mod p). */
INLINE_ON_LANES lanes times_19(lanes a) { return add(add(a, left(a, 1)), left(a, 4)); }

/* Takes limbs below 2^62: so carries are below 2^11, and 19 times that is below 2^16. */
INLINE_ON_LANES number carried(number a) {
  number r;
  r.limb[0] = add(low_51(a.limb[0]), times_19(right(a.limb[4], 51)));
  for (int i = 1; i < LIMBS; i++) r.limb[i] = add(low_51(a.limb[i]), right(a.limb[i - 1], 51));
  return r;
}

/* Of wide numbers. */
INLINE_ON_LANES number sum(number a, number b) {
  for (int i = 0; i < LIMBS; i++) a.limb[i] = add(a.limb[i], b.limb[i]);
  return carried(a);
}

/* Of wide numbers: a + 1024p - b, because all limbs of 1024p are above 2^60, and below 2^61. */
INLINE_ON_LANES number difference(number a, number b) {
  for (int i = 0; i < LIMBS; i++) {
    const lanes of_p = all(((1ULL << 51) - (i == 0 ? 19 : 1)) << 10);
    a.limb[i] = _mm512_sub_epi64(add(a.limb[i], of_p), b.limb[i]);
  }
  return carried(a);
}

/* The product of two limbs has 52 low bits, and high bits that count twice in the next limb. */
INLINE_ON_LANES lanes plus_low(lanes r, lanes a, lanes b) { return _mm512_madd52lo_epu64(r, a, b); }
INLINE_ON_LANES lanes plus_high(lanes r, lanes a, lanes b) { return _mm512_madd52hi_epu64(r, a, b); }

INLINE_ON_LANES void twice(lanes r[2 * LIMBS]) {
  for (int i = 0; i < 2 * LIMBS; i++) r[i] = left(r[i], 1);
}

/* Gives a wide number. Each of the ten sums has up to five low parts, below 2^52, and five high ones,
   below 2^51, twice: so they are below 10 * 2^52, and one and 19 others below 200 * 2^52 < 2^60. */
INLINE_ON_LANES number reduced(const lanes r[2 * LIMBS]) {
  number a;
  for (int i = 0; i < LIMBS; i++) a.limb[i] = add(r[i], times_19(r[i + LIMBS]));
  return a;
}

INLINE_ON_LANES number wide_product(number a, number b) {
  lanes r[2 * LIMBS] = {0};
  for (int i = 0; i < LIMBS; i++)
    for (int j = 0; j < LIMBS; j++) r[i + j + 1] = plus_high(r[i + j + 1], a.limb[i], b.limb[j]);
  twice(r);
  for (int i = 0; i < LIMBS; i++)
    for (int j = 0; j < LIMBS; j++) r[i + j] = plus_low(r[i + j], a.limb[i], b.limb[j]);
  return reduced(r);
}

/* The same with a = b, where products of different limbs are there twice. */
INLINE_ON_LANES number wide_square(number a) {
  lanes r[2 * LIMBS] = {0};
  for (int i = 0; i < LIMBS; i++)
    for (int j = i + 1; j < LIMBS; j++) r[i + j + 1] = plus_high(r[i + j + 1], a.limb[i], a.limb[j]);
  twice(r);
  for (int i = 0; i < LIMBS; i++) r[2 * i + 1] = plus_high(r[2 * i + 1], a.limb[i], a.limb[i]);
  for (int i = 0; i < LIMBS; i++)
    for (int j = i + 1; j < LIMBS; j++) r[i + j] = plus_low(r[i + j], a.limb[i], a.limb[j]);
  twice(r);
  for (int i = 0; i < LIMBS; i++) r[2 * i] = plus_low(r[2 * i], a.limb[i], a.limb[i]);
  return reduced(r);
}

INLINE_ON_LANES number product(number a, number b) { return carried(wide_product(a, b)); }
INLINE_ON_LANES number square(number a) { return carried(wide_square(a)); }

/* 121665 * a + b, where 121665 is (486662 - 2) / 4, and 486662 is the curve's coefficient. */
INLINE_ON_LANES number times_121665_plus(number a, number b) {
  lanes r[2 * LIMBS] = {0};
  for (int i = 0; i < LIMBS; i++) r[i + 1] = plus_high(r[i + 1], a.limb[i], all(121665));
  twice(r);
  for (int i = 0; i < LIMBS; i++) r[i] = plus_low(add(r[i], b.limb[i]), a.limb[i], all(121665));
  return carried(reduced(r));
}

ON_LANES number squares_times(number a, int squares, number b) {
  for (int i = 0; i < squares; i++) a = square(a);
  return product(a, b);
}

/* a^(p - 2), which is 1/a, or zero for zero. The names say which power: a_n is a^(2^n - 1). */
ON_LANES number inverse(number a) {
  const number two = square(a);
  const number nine = squares_times(two, 2, a);
  const number eleven = product(nine, two);
  const number a_5 = squares_times(eleven, 1, nine);
  const number a_10 = squares_times(a_5, 5, a_5);
  const number a_20 = squares_times(a_10, 10, a_10);
  const number a_40 = squares_times(a_20, 20, a_20);
  const number a_50 = squares_times(a_40, 10, a_10);
  const number a_100 = squares_times(a_50, 50, a_50);
  const number a_200 = squares_times(a_100, 100, a_100);
  const number a_250 = squares_times(a_200, 50, a_50);
  return squares_times(a_250, 5, eleven);
}

INLINE_ON_LANES void swap_where(__mmask8 where, number *a, number *b) {
  for (int i = 0; i < LIMBS; i++) {
    const lanes kept = a->limb[i];
    a->limb[i] = _mm512_mask_mov_epi64(kept, where, b->limb[i]);
    b->limb[i] = _mm512_mask_mov_epi64(b->limb[i], where, kept);
  }
}

/* Section 5 of the RFC, with its names. From one step to the next, the four numbers are wide. */
ON_LANES number multiplied(words k, number x_1) {
  number x_2 = {{all(1)}}, z_2 = {{all(0)}}, x_3 = x_1, z_3 = x_2;
  __mmask8 before = 0;
  for (int t = BITS - 1; t >= 0; t--) {
    const __mmask8 k_t = _mm512_test_epi64_mask(k.word[t / 64], all(1ULL << (t % 64)));
    swap_where(before ^ k_t, &x_2, &x_3);
    swap_where(before ^ k_t, &z_2, &z_3);
    before = k_t;
    const number a = sum(x_2, z_2), b = difference(x_2, z_2);
    const number aa = square(a), bb = square(b), e = difference(aa, bb);
    const number da = wide_product(difference(x_3, z_3), a);
    const number cb = wide_product(sum(x_3, z_3), b);
    x_3 = wide_square(sum(da, cb));
    z_3 = wide_product(x_1, square(difference(da, cb)));
    x_2 = wide_product(aa, bb);
    z_2 = wide_product(e, times_121665_plus(e, aa));
  }
  swap_where(before, &x_2, &x_3);
  swap_where(before, &z_2, &z_3);
  return product(carried(x_2), inverse(carried(z_2)));
}

ON_LANES words load(const unsigned char *const from[LADDER_LANES]) {
  uint64_t word[WORDS][LADDER_LANES] = {0};
  words r;
  for (int lane = 0; lane < LADDER_LANES; lane++)
    for (int i = 0; from[lane] && i < WORDS; i++) memcpy(&word[i][lane], from[lane] + 8 * i, 8);
  for (int i = 0; i < WORDS; i++) r.word[i] = _mm512_loadu_si512(word[i]);
  return r;
}

ON_LANES void store(unsigned char *const to[LADDER_LANES], words given) {
  uint64_t word[WORDS][LADDER_LANES];
  for (int i = 0; i < WORDS; i++) _mm512_storeu_si512(word[i], given.word[i]);
  for (int lane = 0; lane < LADDER_LANES; lane++)
    for (int i = 0; to[lane] && i < WORDS; i++) memcpy(to[lane] + 8 * i, &word[i][lane], 8);
}

/* Without the top bit, as the RFC says; and the number needn't be below p. */
ON_LANES number unpacked(words w) {
  number r;
  r.limb[0] = low_51(w.word[0]);
  r.limb[1] = low_51(add(right(w.word[0], 51), left(w.word[1], 13)));
  r.limb[2] = low_51(add(right(w.word[1], 38), left(w.word[2], 26)));
  r.limb[3] = low_51(add(right(w.word[2], 25), left(w.word[3], 39)));
  r.limb[4] = low_51(right(w.word[3], 12));
  return r;
}

ON_LANES words packed(number a) {
  words r;
  lanes over = all(19); /* a + 19 has a carry from its highest limb if a >= p; then p is taken away */
  for (int i = 0; i < LIMBS; i++) over = right(add(a.limb[i], over), 51);
  a.limb[0] = add(a.limb[0], times_19(over));
  for (int i = 0; i < LIMBS; i++) {
    if (i + 1 < LIMBS) a.limb[i + 1] = add(a.limb[i + 1], right(a.limb[i], 51));
    a.limb[i] = low_51(a.limb[i]);
  }
  r.word[0] = add(a.limb[0], left(a.limb[1], 51));
  r.word[1] = add(right(a.limb[1], 13), left(a.limb[2], 38));
  r.word[2] = add(right(a.limb[2], 26), left(a.limb[3], 25));
  r.word[3] = add(right(a.limb[3], 39), left(a.limb[4], 12));
  return r;
}

/* Not inlined, so that all that it leaves on the stack is below its caller's frame. */
ON_LANES __attribute__((noinline)) void on_lanes(unsigned char *const q[LADDER_LANES],
                                                 const unsigned char *const n[LADDER_LANES],
                                                 const unsigned char *const p[LADDER_LANES]) {
  store(q, packed(multiplied(load(n), unpacked(load(p)))));
}

void ladder(unsigned char *const q[LADDER_LANES], const unsigned char *const n[LADDER_LANES],
            const unsigned char *const p[LADDER_LANES]) {
  on_lanes(q, n, p);
  sodium_stackzero(STACK);
}

#endif
