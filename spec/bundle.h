/* What is packed into the one file, and files that no folder shows.
 *
 * The bundle, made by bundle.py; numbers are u64, little-endian, offsets count from the magic:
 *
 *   magic "nymbndl1", number of members, bytes in all
 *   a record for each, sorted by name: offset of the name, offset of the data, bytes packed, bytes
 *     unpacked
 *   names, each ending with a NUL; data, each a zstd frame
 */
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_TO_FD "/proc/self/fd/"
#define IN_MEMORY ""

struct member {
    const unsigned char *data;
    size_t packed, size;
};

/* The member of that name; 0 where there is none. */
int bundle_find(const unsigned char *bundle, const char *name, struct member *found);

/* Unpacks into memory that has room for it. Where that fails the one file is damaged: the program
 * ends, and says so. */
void bundle_unpack(const struct member *member, void *to);

/* What was read of the one file needn't stay in memory: to be called when a member was unpacked. */
void bundle_forget(const unsigned char *bundle);

/* A descriptor of a file with the unpacked member, by which a library can be loaded (PATH_TO_FD), and
 * which is gone when nobody uses it any more: IN_MEMORY, or unlinked in a folder; -1 with errno. */
int bundle_file(const char *folder, const char *name, const struct member *member);

/* What bundle_file was about when it failed, for people. */
extern const char *bundle_step;
