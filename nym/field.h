/* Numbers modulo p = 2^255 - 19 in the lanes of AVX-512 registers, for the ladders beside this file.
   A file that includes it defines LANES before: how many 64-bit lanes a register has, 4 or 8.

   A number has five limbs to the base 2^51. Each limb is a vector with one lane for each number that
   is computed with at the same time. A number is narrow if its limbs are below 2^51 + 2^16: then

   - IFMA, which multiplies the low 52 bits of its operands, misses none;
   - the number is below 2p, so p has to be taken away once at most.

   A number is wide if its limbs are below 2^60. Wide numbers can be added to and taken away from
   others, but not multiplied. All functions take and give narrow numbers, unless they say otherwise,
   and the comments say why the limbs stay that small.

   Which instructions run, and on which addresses, doesn't depend on numbers or scalars: the bits of
   scalars choose by masks and permutations. */

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { LIMBS = 5, WORDS = 4, BITS = 255, STACK = 16384 };

#define ON_LANES static __attribute__((target("avx512f,avx512vl,avx512ifma")))
#define INLINE_ON_LANES ON_LANES inline __attribute__((always_inline))

/* The names of intrinsics, and of the type that they take, say how long a register is. */
#if LANES == 8
#define INTRINSIC(name) _mm512_##name
typedef __m512i raw;
#else
#define INTRINSIC(name) _mm256_##name
typedef __m256i raw;
#endif

typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));
typedef struct { lanes limb[LIMBS]; } number;
typedef struct { lanes word[WORDS]; } words; /* 256 bits, little-endian */

/* Loops whose limbs have to be in registers: without this, gcc leaves those in columns as they are. */
#define UNROLLED _Pragma("GCC unroll 5")

static const uint64_t LOW_51 = (1ULL << 51) - 1;

INLINE_ON_LANES lanes all(uint64_t value) { return (lanes){0} + value; }

/* What overflows the highest limb counts 19 times in the lowest: 2^255 = 19 (mod p). */
INLINE_ON_LANES lanes times_19(lanes a) { return a + (a << 1) + (a << 4); }

/* The product of two limbs has 52 low bits, and high bits that count twice in the next limb. */
INLINE_ON_LANES lanes plus_low(lanes r, lanes a, lanes b) {
  return (lanes)INTRINSIC(madd52lo_epu64)((raw)r, (raw)a, (raw)b);
}
INLINE_ON_LANES lanes plus_high(lanes r, lanes a, lanes b) {
  return (lanes)INTRINSIC(madd52hi_epu64)((raw)r, (raw)a, (raw)b);
}

/* Takes limbs below 2^62: so carries are below 2^11, and 19 times that is below 2^16. */
INLINE_ON_LANES number carried(number a) {
  number r;
  r.limb[0] = plus_low(a.limb[0] & LOW_51, a.limb[4] >> 51, all(19));
  for (int i = 1; i < LIMBS; i++) r.limb[i] = (a.limb[i] & LOW_51) + (a.limb[i - 1] >> 51);
  return r;
}

/* Of wide numbers. */
INLINE_ON_LANES number sum(number a, number b) {
  for (int i = 0; i < LIMBS; i++) a.limb[i] += b.limb[i];
  return carried(a);
}

/* A limb of 1024p, which is above 2^60, and below 2^61. So a wide number can be taken away from it. */
INLINE_ON_LANES lanes of_1024p(int i) { return all((LOW_51 - (i == 0 ? 18 : 0)) << 10); }

/* In the lanes of `where` b, and a in the others. Of any numbers. */
INLINE_ON_LANES number chosen(__mmask8 where, number a, number b) {
  for (int i = 0; i < LIMBS; i++)
    a.limb[i] = (lanes)INTRINSIC(mask_mov_epi64)((raw)a.limb[i], where, (raw)b.limb[i]);
  return a;
}

INLINE_ON_LANES int is_limb(int i) { return 0 <= i && i < LIMBS; }

/* What counts 2^(51 k) in a product: up to five low parts, below 2^52, and five high ones, below 2^51,
   twice. So it is below 10 * 2^52. An addition waits for the one before, so there are two chains. */
INLINE_ON_LANES lanes column(number a, number b, int k) {
  lanes low = all(0), high = all(0);
  UNROLLED for (int i = 0; i < LIMBS; i++) {
    if (is_limb(k - i)) low = plus_low(low, a.limb[i], b.limb[k - i]);
    if (is_limb(k - 1 - i)) high = plus_high(high, a.limb[i], b.limb[k - 1 - i]);
  }
  return low + (high << 1);
}

/* The same with a = b, where products of different limbs are there twice. */
INLINE_ON_LANES lanes column_of_square(number a, int k) {
  lanes low = all(0), high = all(0);
  UNROLLED for (int i = 0; 2 * i < k; i++) {
    if (is_limb(k - i)) low = plus_low(low, a.limb[i], a.limb[k - i]);
    if (is_limb(k - 1 - i) && 2 * i < k - 1) high = plus_high(high, a.limb[i], a.limb[k - 1 - i]);
  }
  high <<= 1;
  if (k % 2) return (low + plus_high(high, a.limb[k / 2], a.limb[k / 2])) << 1;
  low = (low + high) << 1;
  return is_limb(k / 2) ? plus_low(low, a.limb[k / 2], a.limb[k / 2]) : low;
}

/* These two give wide numbers: one column and 19 others are below 200 * 2^52 < 2^60. The high columns
   come first, and the shortest of them before all, so that no addition waits for times_19. */
INLINE_ON_LANES number wide_product(number a, number b) {
  number r;
  UNROLLED for (int k = LIMBS - 1; k >= 0; k--) r.limb[k] = times_19(column(a, b, k + LIMBS));
  UNROLLED for (int k = 0; k < LIMBS; k++) r.limb[k] += column(a, b, k);
  return r;
}

INLINE_ON_LANES number wide_square(number a) {
  number r;
  UNROLLED for (int k = LIMBS - 1; k >= 0; k--) r.limb[k] = times_19(column_of_square(a, k + LIMBS));
  UNROLLED for (int k = 0; k < LIMBS; k++) r.limb[k] += column_of_square(a, k);
  return r;
}

INLINE_ON_LANES number product(number a, number b) { return carried(wide_product(a, b)); }
INLINE_ON_LANES number square(number a) { return carried(wide_square(a)); }

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

/* Without the top bit, as the RFC says; and the number needn't be below p. */
ON_LANES number unpacked(words w) {
  number r;
  r.limb[0] = w.word[0] & LOW_51;
  r.limb[1] = (w.word[0] >> 51 | w.word[1] << 13) & LOW_51;
  r.limb[2] = (w.word[1] >> 38 | w.word[2] << 26) & LOW_51;
  r.limb[3] = (w.word[2] >> 25 | w.word[3] << 39) & LOW_51;
  r.limb[4] = w.word[3] >> 12 & LOW_51;
  return r;
}

ON_LANES words packed(number a) {
  words r;
  lanes over = all(19); /* a + 19 has a carry from its highest limb if a >= p; then p is taken away */
  for (int i = 0; i < LIMBS; i++) over = (a.limb[i] + over) >> 51;
  a.limb[0] += times_19(over);
  for (int i = 0; i < LIMBS; i++) {
    if (i + 1 < LIMBS) a.limb[i + 1] += a.limb[i] >> 51;
    a.limb[i] &= LOW_51;
  }
  r.word[0] = a.limb[0] | a.limb[1] << 51;
  r.word[1] = a.limb[1] >> 13 | a.limb[2] << 38;
  r.word[2] = a.limb[2] >> 26 | a.limb[3] << 25;
  r.word[3] = a.limb[3] >> 39 | a.limb[4] << 12;
  return r;
}
