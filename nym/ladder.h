/* X25519 for eight pairs at once, in the lanes of AVX-512 registers (ladder.c). */

enum { LADDER_LANES = 8 };

#ifdef __x86_64__

/* Whether this processor can do it; otherwise, don't call `ladder`. */
static inline int ladder_is_usable(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma");
}

/* Computes q[i] = n[i] * p[i], 32 bytes each, as RFC 7748 does, for scalars that have the clamped form
   already. A lane whose pointers are NULL is left out. */
__attribute__((visibility("hidden"))) void ladder(unsigned char *const q[LADDER_LANES],
                                                   const unsigned char *const n[LADDER_LANES],
                                                   const unsigned char *const p[LADDER_LANES]);

#else /* There are no such registers. */

#define ladder_is_usable() 0
#define ladder(q, n, p) ((void)(q), (void)(n), (void)(p))

#endif
