/* X25519 in the lanes of AVX-512 registers: one product (one_ladder.c), or eight at once
   (eight_ladders.c). Scalars must have the clamped form. What is left of them on the stack is wiped. */

#define LADDERS 8

#ifdef __x86_64__

/* Whether this processor can do it; otherwise, don't call the others. */
static inline int ladders_are_usable(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512ifma");
}

/* Computes q = n * p, 32 bytes each, as RFC 7748 does. */
__attribute__((visibility("hidden"))) void one_ladder(unsigned char *q, const unsigned char *n,
                                                      const unsigned char *p);

/* The same for each of eight lanes. One whose pointers are NULL is left out. */
__attribute__((visibility("hidden"))) void eight_ladders(unsigned char *const q[LADDERS],
                                                         const unsigned char *const n[LADDERS],
                                                         const unsigned char *const p[LADDERS]);

#else /* There are no such registers. */

#define ladders_are_usable() 0
#define one_ladder(q, n, p) ((void)(q), (void)(n), (void)(p))
#define eight_ladders(q, n, p) ((void)(q), (void)(n), (void)(p))

#endif
