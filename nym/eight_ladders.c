/* The Montgomery ladder of RFC 7748 for eight pairs of scalar and point at once, one in each lane of
   a number (field.h). */

#include "ladders.h"

#ifdef __x86_64__

#include <sodium.h>

#define LANES LADDERS
#include "field.h"

/* Of wide numbers: a + 1024p - b. */
INLINE_ON_LANES number difference(number a, number b) {
  for (int i = 0; i < LIMBS; i++) a.limb[i] += of_1024p(i) - b.limb[i];
  return carried(a);
}

/* 121665 * a + b, where 121665 is (486662 - 2) / 4, and 486662 is the curve's coefficient. b is wide. */
INLINE_ON_LANES number times_121665_plus(number a, number b) {
  const lanes a24 = all(121665);
  for (int i = 0; i < LIMBS; i++) {
    const lanes high = plus_high(all(0), a.limb[i], a24) << 1;
    b.limb[i] = plus_low(b.limb[i], a.limb[i], a24);
    b.limb[(i + 1) % LIMBS] += i + 1 < LIMBS ? high : times_19(high);
  }
  return carried(b);
}

INLINE_ON_LANES void swap_where(__mmask8 where, number *a, number *b) {
  const number kept = *a;
  *a = chosen(where, kept, *b);
  *b = chosen(where, *b, kept);
}

/* Section 5 of the RFC, with its names. From one step to the next, the four numbers are wide. */
ON_LANES number multiplied(words k, number x_1) {
  number x_2 = {{all(1)}}, z_2 = {{all(0)}}, x_3 = x_1, z_3 = x_2;
  __mmask8 before = 0;
  for (int t = BITS - 1; t >= 0; t--) {
    const __mmask8 k_t = _mm512_test_epi64_mask((raw)k.word[t / 64], (raw)all(1ULL << (t % 64)));
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

ON_LANES words load(const unsigned char *const from[LADDERS]) {
  words r = {{all(0)}};
  for (int lane = 0; lane < LADDERS; lane++)
    for (int i = 0; from[lane] && i < WORDS; i++)
      memcpy((char *)&r.word[i] + 8 * lane, from[lane] + 8 * i, 8);
  return r;
}

ON_LANES void store(unsigned char *const to[LADDERS], words given) {
  for (int lane = 0; lane < LADDERS; lane++)
    for (int i = 0; to[lane] && i < WORDS; i++)
      memcpy(to[lane] + 8 * i, (char *)&given.word[i] + 8 * lane, 8);
}

/* Not inlined, so that all that it leaves on the stack is below its caller's frame. */
ON_LANES __attribute__((noinline)) void on_lanes(unsigned char *const q[LADDERS],
                                                 const unsigned char *const n[LADDERS],
                                                 const unsigned char *const p[LADDERS]) {
  store(q, packed(multiplied(load(n), unpacked(load(p)))));
}

void eight_ladders(unsigned char *const q[LADDERS], const unsigned char *const n[LADDERS],
                   const unsigned char *const p[LADDERS]) {
  on_lanes(q, n, p);
  sodium_stackzero(STACK);
}

#endif
