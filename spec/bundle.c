/* Members of the bundle, and nameless files for them: see bundle.h. */
#define _GNU_SOURCE
#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3 */
#define MFD_NOEXEC_SEAL 0x0008U
#endif

const char *bundle_step = "";

struct head {
    char magic[8];
    uint64_t count, size, data, checksum;
};

struct record {
    uint64_t name, data, packed, size;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "nym-client: %s\n", what);
    exit(1);
}

static const char damaged[] = "its file is damaged; get it again, and compare its SHA-256";

static uint64_t checksum(uint64_t sum, const unsigned char *from, const unsigned char *to)
{
    for (; from < to; from++)
        sum = (sum ^ *from) * 0x100000001b3;
    return sum;
}

void bundle_check(const unsigned char *bundle, size_t length)
{
    const struct head *head = (const struct head *)bundle;
    if (length < sizeof *head || head->size != length || head->data > length || head->data < sizeof *head)
        fail(damaged);
    uint64_t sum = checksum(0xcbf29ce484222325, bundle, (const unsigned char *)&head->checksum);
    if (checksum(sum, bundle + sizeof *head, bundle + head->data) != head->checksum)
        fail(damaged);
}

int bundle_find(const unsigned char *bundle, const char *name, struct member *found)
{
    const struct record *records = (const struct record *)(bundle + sizeof(struct head));
    uint64_t low = 0, high = ((const struct head *)bundle)->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct record *record = &records[middle];
        int order = strcmp(name, (const char *)bundle + record->name);
        if (order == 0) {
            *found = (struct member){bundle + record->data, record->packed, record->size};
            return 1;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return 0;
}

/* One for all members: to make one takes longer than to unpack a small module. */
static ZSTD_DCtx *context;

void bundle_unpack(const struct member *member, void *to)
{
    if (!context && !(context = ZSTD_createDCtx()))
        fail("there is not enough memory");
    if (ZSTD_decompressDCtx(context, to, member->size, member->data, member->packed) != member->size)
        fail(damaged);
}

void bundle_end(void)
{
    ZSTD_freeDCtx(context);
    context = NULL;
    malloc_trim(0);
}

void bundle_forget(const unsigned char *bundle)
{
    /* All of the data, not only the member: the kernel also maps pages near those that are read. The
     * first and the last page have other things, too. A page that is needed again is read from the
     * file again, so the names, which are needed for each member, stay. */
    const struct head *head = (const struct head *)bundle;
    const unsigned char *data = bundle + head->data;
    size_t into_page = (uintptr_t)data % getauxval(AT_PAGESZ);
    madvise((void *)(data - into_page), into_page + head->size - head->data, MADV_DONTNEED);
}

/* Libraries are mapped from such a file, and it is never executed. Some machines allow only files
 * that are marked as not executable (vm.memfd_noexec). */
static int in_memory(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) /* a kernel before 6.3 doesn't know the flag */
        fd = memfd_create(name, MFD_CLOEXEC);
    return fd;
}

static int in_folder(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd;
    /* This file system has no files without names, so one is made and unlinked at once. */
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/.nym-client-XXXXXX", folder) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* Moves a descriptor behind those of the standard streams. If a standard stream is closed, a new file
 * would get its number, and the program would read or write it as if it were that stream. */
static int above_streams(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return moved;
}

/* Reserves room for a file; returns 0 or an errno. Without it, a full folder would be noticed only
 * when the mapped file is written, by a SIGBUS that kills the process without a word. */
static int reserve(int fd, size_t size)
{
    static const char zeros[1 << 16];
    int error = posix_fallocate(fd, 0, (off_t)size);
    if (!error || error == ENOSPC || error == EDQUOT || error == EFBIG)
        return error;
    /* The file system doesn't know fallocate, or the profile of a container refuses it. Then zeros
     * are written, which reserves room, too. */
    for (size_t done = 0; done < size;) {
        size_t left = size - done;
        ssize_t written = write(fd, zeros, left < sizeof zeros ? left : sizeof zeros);
        if (written > 0)
            done += (size_t)written;
        else if (written == 0 || errno != EINTR)
            return written ? errno : ENOSPC;
    }
    return 0;
}

int bundle_file(const char *folder, const char *name, const struct member *member)
{
    bundle_step = "no file can be made there";
    int fd = above_streams(*folder ? in_folder(folder) : in_memory(name));
    if (fd < 0)
        return -1;
    bundle_step = "it has no room";
    int error = reserve(fd, member->size);
    if (!error) {
        bundle_step = "a file can't be mapped";
        /* All of it is written at once, so all pages are mapped at once, and not each when it is met. */
        int how = MAP_SHARED | MAP_POPULATE;
        void *to = mmap(NULL, member->size, PROT_READ | PROT_WRITE, how, fd, 0);
        if (to != MAP_FAILED) {
            bundle_unpack(member, to);
            munmap(to, member->size);
            return fd;
        }
        error = errno;
    }
    close(fd);
    errno = error;
    return -1;
}
