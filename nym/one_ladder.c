/* The Montgomery ladder of RFC 7748 for one pair of scalar and point, four numbers in step.

   All numbers of a step are in the lanes of one (field.h), in this order: x_2, z_2, x_3, z_3. So is
   what is made of them, under the names of the RFC: A and B of the first two, C and D of the others. */

#include "ladders.h"

#ifdef __x86_64__

#include <sodium.h>

#define LANES 4
#include "field.h"

/* Masks: of one lane, and of those that are the second of a pair. */
enum { LANE_0 = 1, LANE_1 = 2, LANE_2 = 4, LANE_3 = 8, SECONDS = LANE_1 | LANE_3 };

/* The first, or second, number of each pair, in both its lanes. */
INLINE_ON_LANES number firsts(number a) {
  for (int i = 0; i < LIMBS; i++)
    a.limb[i] = (lanes)_mm256_unpacklo_epi64((raw)a.limb[i], (raw)a.limb[i]);
  return a;
}
INLINE_ON_LANES number seconds(number a) {
  for (int i = 0; i < LIMBS; i++)
    a.limb[i] = (lanes)_mm256_unpackhi_epi64((raw)a.limb[i], (raw)a.limb[i]);
  return a;
}

/* Of wide numbers. Each pair a, b becomes a + b or, if its first lane isn't one of `sums`, a; and
   a - b, as a + 1024p - b. */
INLINE_ON_LANES number sums_and_differences(number pairs, __mmask8 sums) {
  const number a = firsts(pairs), b = seconds(pairs);
  number r;
  for (int i = 0; i < LIMBS; i++) {
    const raw first = _mm256_mask_add_epi64((raw)a.limb[i], sums, (raw)a.limb[i], (raw)b.limb[i]);
    const raw enough = (raw)(a.limb[i] + of_1024p(i));
    r.limb[i] = (lanes)_mm256_mask_sub_epi64(first, SECONDS, enough, (raw)b.limb[i]);
  }
  return carried(r);
}

INLINE_ON_LANES number permuted(number a, lanes from) {
  for (int i = 0; i < LIMBS; i++)
    a.limb[i] = (lanes)_mm256_permutexvar_epi64((raw)from, (raw)a.limb[i]);
  return a;
}

/* Section 5 of the RFC. From one step to the next, the four numbers are wide.

   Instead of swapping the points, a step takes the squares of C and D, where the RFC would have swapped.
   The products of both points stay: with them swapped, DA and CB are, too, and only the sign of
   DA - CB changes, which is squared. The lowest bit of a clamped scalar is 0, so that nothing has to be
   swapped after the last step. */
ON_LANES number multiplied(words k, number point) {
  const number zero = {{all(0)}}, one = {{all(1)}}, a24 = {{all(121665)}};
  const number factors = chosen(LANE_3, one, point);
  number points = chosen(LANE_1, chosen(LANE_2, one, point), zero);
  lanes before = all(0);
  for (int t = BITS - 1; t >= 0; t--) {
    const lanes k_t = k.word[t / 64] >> (t % 64) & 1;
    const lanes from = (lanes){0, 1, 2, 3} + ((before ^ k_t) * (lanes){2, 2, 0, 0});
    before = k_t;
    const number abcd = sums_and_differences(points, LANE_0 | LANE_2);
    /* AA, BB, CB, DA, or CC, DD, CB, DA. */
    const number w = wide_product(permuted(abcd, from), permuted(abcd, from ^ (lanes){0, 0, 3, 3}));
    /* AA, E, CB + DA, CB - DA. */
    const number v = sums_and_differences(w, LANE_2);
    const number bb = carried(seconds(w));
    /* x_2 = AA * BB, a24 * E, x_3 = (CB + DA)^2, (CB - DA)^2. */
    const number u = wide_product(v, chosen(LANE_1, chosen(LANE_0, v, bb), a24));
    /* x_2, z_2 = (a24 * E + AA) * E, x_3, z_3 = (CB - DA)^2 * x_1. */
    points = wide_product(sum(u, chosen(LANE_1, zero, firsts(w))), chosen(LANE_1, factors, v));
  }
  points = carried(points);
  return product(firsts(points), inverse(seconds(points)));
}

ON_LANES words load(const unsigned char *from) {
  uint64_t word[WORDS];
  words r;
  memcpy(word, from, sizeof word);
  for (int i = 0; i < WORDS; i++) r.word[i] = all(word[i]);
  return r;
}

/* Not inlined, so that all that it leaves on the stack is below its caller's frame. */
ON_LANES __attribute__((noinline)) void on_lanes(unsigned char *q, const unsigned char *n,
                                                 const unsigned char *p) {
  const words found = packed(multiplied(load(n), unpacked(load(p))));
  for (int i = 0; i < WORDS; i++) memcpy(q + 8 * i, &found.word[i], 8);
}

void one_ladder(unsigned char *q, const unsigned char *n, const unsigned char *p) {
  on_lanes(q, n, p);
  sodium_stackzero(STACK);
}

#endif
