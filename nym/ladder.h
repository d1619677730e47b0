/* X25519 for eight pairs at once, in the lanes of AVX-512 registers (ladder.c). */

enum { LADDER_LANES = 8 };

/* Whether this processor, and the compiler of this file, can do it. */
static inline int ladder_is_usable(void) {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma");
#else
  return 0;
#endif
}

/* Computes q[i] = n[i] * p[i], 32 bytes each, as RFC 7748 does, for scalars that have the clamped form
   already. A lane whose q is NULL is left out. Call this only where it is usable. */
void ladder(unsigned char *const q[LADDER_LANES], const unsigned char *const n[LADDER_LANES],
            const unsigned char *const p[LADDER_LANES]);
