/* Members of the bundle, which is all that is packed into the one file, and nameless files for them.
 *
 * bundle.py makes the bundle. Numbers are u64, little-endian; offsets count from the magic:
 *
 *   magic "nymbndl1", number of members, length of the bundle, offset of the data, and a checksum of
 *     these numbers and of all that follows up to the data: FNV-1a of 64 bits
 *   a record for each member, sorted by name: offset of its name, offset of its data, packed length,
 *     unpacked length
 *   the names, each ending with a NUL
 *   the data, each a zstd frame with a checksum of what it unpacks to
 *
 * The checksums are for files that were damaged on their way, whose code would do anything. They are
 * no protection from people: whoever can change the file can also change them.
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

/* Says that the one file is damaged, and ends the program, unless the bundle has this length and all
 * but its data is whole. To be called before anything else here. */
void bundle_check(const unsigned char *bundle, size_t length);

/* Finds the member of that name; returns 0 if there is none. */
int bundle_find(const unsigned char *bundle, const char *name, struct member *found);

/* Unpacks a member into memory that has room for it, in one thread at a time. If that fails, the one
 * file is damaged, or there is no memory: the program says so, and ends. */
void bundle_unpack(const struct member *member, void *to);

/* Gives memory back to the system: pages of the one file that were read. To be called when members
 * have been unpacked. */
void bundle_forget(const unsigned char *bundle);

/* Gives back the memory that unpacking has needed, some 100 KB. The next unpacking takes it again. */
void bundle_end(void);

/* Makes a file with the unpacked member, and returns its descriptor, or -1 with errno. The file is in
 * memory (IN_MEMORY), or unlinked in a folder, so the system removes it when nobody uses it any more.
 * A library can be loaded from it by the path PATH_TO_FD and the descriptor. */
int bundle_file(const char *folder, const char *name, const struct member *member);

/* After bundle_file has failed: what could not be done, as words for the user. */
extern const char *bundle_step;
