/* What the system starts when the one file is run (docs/one-file.md). It is linked statically, so it
 * needs nothing of the machine.
 *
 * The bundle in it has an ordinary program, with its dynamic linker and libraries. They are unpacked
 * into files in memory, which the system removes with the process, so nothing is left behind, however
 * the process ends. The dynamic linker is mapped and entered as the kernel would do it, but without
 * execve. So ps, profiles of AppArmor and SELinux, and attempts to overwrite the file find that the
 * process runs the one file.
 *
 * If files can't be made in memory, unlinked files in a folder are used, if programs can be run from
 * that folder.
 */
#define _GNU_SOURCE
#include "bundle.h"

#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AUXILIARY_MAX 64 /* entries of the auxiliary vector; Linux has 24 */
#define NO_PROGRAMS "programs can't be run from there"

/* Takes a stack and an address, and jumps to that address with that stack. */
#if defined __x86_64__
#define JUMP "mov %0, %%rsp\n\tjmp *%1"
#elif defined __aarch64__
#define JUMP "mov sp, %0\n\tbr %1"
#else
#error "the launcher doesn't know how a program is entered on this architecture"
#endif

__asm__(".pushsection .rodata.bundle, \"a\", @progbits\n"
        ".globl bundle, bundle_length\n"
        ".balign 8\n"
        "bundle: .incbin \"" BUNDLE "\"\n"
        "1: .balign 8\n"
        "bundle_length: .quad 1b - bundle\n"
        ".popsection\n");
extern const unsigned char bundle[];
extern const uint64_t bundle_length;
extern const unsigned char __executable_start; /* of the linker: where this program is mapped */

/* What has to be unpacked for the start, in this order: the dynamic linker, libraries, the program. */
static const char *const needed[] = {NEEDED};
enum { COUNT = sizeof needed / sizeof *needed };

static const Elf64_auxv_t *auxiliary;

static _Noreturn void fail(const char *what, const char *advice)
{
    fprintf(stderr, "nym-client: can't start: %s: %s%s\n", what, strerror(errno), advice);
    exit(1);
}

/* A place for files, and what could not be done there. */
struct failure {
    const char *place, *step;
    int error;
};

/* Makes a file in the folder for each that is needed. If that fails, or if the folder is mounted
 * noexec, returns 0 and sets bundle_step and errno. */
static int unpack(const char *folder, int fds[COUNT])
{
    struct member member;
    for (int i = 0; i < COUNT; i++) {
        if (!bundle_find(bundle, needed[i], &member))
            abort();
        fds[i] = bundle_file(folder, needed[i], &member);
        if (fds[i] >= 0) {
            /* Tried here, where another folder can still be used: the dynamic linker would fail. */
            bundle_step = NO_PROGRAMS;
            void *code = mmap(NULL, member.size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fds[i], 0);
            if (code != MAP_FAILED) {
                munmap(code, member.size);
                continue;
            }
        }
        int error = errno;
        for (int j = 0; j <= i; j++)
            close(fds[j]);
        errno = error;
        return 0;
    }
    bundle_end();
    return 1;
}

static const char *temporary_folder(void)
{
    const char *path = getenv("TMPDIR");
    return path && *path ? path : "/tmp";
}

static const char *runtime_folder(void)
{
    const char *path = getenv("XDG_RUNTIME_DIR");
    return path ? path : "";
}

/* ~/.cache/nym, which is made if it isn't there; "" without a home. */
static const char *cache_folder(void)
{
    static char path[PATH_MAX];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    /* Four bytes stay free for "/nym". */
    int length = cache && *cache ? snprintf(path, sizeof path - 4, "%s", cache)
                 : home && *home ? snprintf(path, sizeof path - 4, "%s/.cache", home)
                                 : 0;
    if (length <= 0 || (size_t)length >= sizeof path - 4)
        return "";
    mkdir(path, 0700);
    strcat(path, "/nym");
    mkdir(path, 0700);
    return path;
}

/* Says in one line what failed at each place. */
static _Noreturn void fail_everywhere(const struct failure *failures, size_t count)
{
    int is_noexec = 0;
    fputs("nym-client: can't start: it found no place for its libraries: ", stderr);
    for (size_t i = 0; i < count; i++) {
        const struct failure *failure = &failures[i];
        is_noexec |= *failure->place == '/' && strcmp(failure->step, NO_PROGRAMS) == 0;
        fprintf(stderr, "%s%s: %s (%s)", i ? "; " : "", failure->place, failure->step,
                strerror(failure->error));
    }
    fprintf(stderr, "%s\n",
            is_noexec                      ? "; let TMPDIR name one that isn't mounted noexec"
            : failures[0].error == EMFILE ? "; raise the limit of open files: ulimit -n 1024"
                                           : "");
    exit(1);
}

/* Makes the files at the first place that can hold them; returns the folder, or IN_MEMORY. */
static const char *unpack_somewhere(int fds[COUNT])
{
    const char *(*const folders[])(void) = {temporary_folder, runtime_folder, cache_folder};
    struct failure failures[1 + sizeof folders / sizeof *folders];
    size_t count = 0;
    if (unpack(IN_MEMORY, fds))
        return IN_MEMORY;
    failures[count++] = (struct failure){"memory", bundle_step, errno};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const char *folder = folders[i]();
        if (!*folder)
            continue;
        if (unpack(folder, fds)) {
            /* Said only if a folder has failed: failures[0] is the memory. */
            if (count > 1)
                fprintf(stderr, "nym-client: %s can't hold programs (%s), so %s is used.\n",
                        failures[1].place, strerror(failures[1].error), folder);
            return folder;
        }
        failures[count++] = (struct failure){folder, bundle_step, errno};
    }
    fail_everywhere(failures, count);
}

/* Removes all LD_ variables: what they name is made for the machine's own dynamic linker and C
 * library, and could stop the program or run other code in it. */
static void forget_foreign_libraries(void)
{
    char **kept = environ;
    for (char **variable = environ; *variable; variable++)
        if (strncmp(*variable, "LD_", 3) != 0)
            *kept++ = *variable;
    *kept = NULL;
}

/* Older containers refuse system calls that they don't know with EPERM. glibc goes on without clone3
 * only if the error is ENOSYS, which says that the kernel has no such call. So this adds a filter
 * that refuses clone3 with ENOSYS: if two filters refuse a call, the newer one's error counts. */
static void deny_clone3(void)
{
    if (syscall(SYS_clone3, NULL, 0) == 0 || errno != EPERM)
        return;
    struct sock_filter lines[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof lines / sizeof *lines, lines};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* without it, only root may add a filter */
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* Maps a position-independent ELF file, as the kernel does; returns its address. */
static unsigned char *map_file(int fd)
{
    Elf64_Ehdr head;
    Elf64_Phdr segments[16];
    if (pread(fd, &head, sizeof head, 0) != sizeof head || head.e_phnum > 16 ||
        pread(fd, segments, sizeof *segments * head.e_phnum, (off_t)head.e_phoff) < 0)
        fail(needed[0], "");
    const uint64_t page = getauxval(AT_PAGESZ); /* on aarch64, 4, 16 or 64 KiB */
    uint64_t end = 0;
    for (int i = 0; i < head.e_phnum; i++)
        if (segments[i].p_type == PT_LOAD)
            end = segments[i].p_vaddr + segments[i].p_memsz;
    /* One mapping for all segments first: they need a place where nothing else is in between. */
    unsigned char *base = mmap(NULL, end, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        fail("memory", "");
    for (int i = 0; i < head.e_phnum; i++) {
        const Elf64_Phdr *segment = &segments[i];
        if (segment->p_type != PT_LOAD)
            continue;
        int protection = (segment->p_flags & PF_R ? PROT_READ : 0) |
                         (segment->p_flags & PF_W ? PROT_WRITE : 0) |
                         (segment->p_flags & PF_X ? PROT_EXEC : 0);
        uint64_t into_page = segment->p_vaddr % page, in_file = into_page + segment->p_filesz;
        uint64_t whole = (in_file + page - 1) & ~(page - 1), all = into_page + segment->p_memsz;
        unsigned char *to = base + (segment->p_vaddr - into_page);
        if (mmap(to, in_file, protection, MAP_PRIVATE | MAP_FIXED, fd,
                 (off_t)(segment->p_offset - into_page)) == MAP_FAILED ||
            (all > whole && mmap(to + whole, all - whole, protection,
                                 MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED))
            fail(needed[0], "");
        /* Variables that begin as zero aren't in the file. The rest of its last page, which is mapped
         * with it, has other bytes of the file; the pages behind it are anonymous, so zero. */
        if (segment->p_memsz > segment->p_filesz)
            memset(to + in_file, 0, whole - in_file);
    }
    return base;
}

/* Withdraws the place for restartable sequences that this program's glibc has registered with the
 * kernel. A thread can have only one, and the program's own glibc registers its own. */
static void leave_thread(void)
{
    char *place = (char *)__builtin_thread_pointer() + __rseq_offset;
    if (__rseq_size)
        syscall(SYS_rseq, place, sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

static char *__attribute__((format(printf, 1, 2))) text(const char *format, ...)
{
    char *made;
    va_list values;
    va_start(values, format);
    if (vasprintf(&made, format, values) < 0)
        fail("memory", "");
    va_end(values);
    return made;
}

/* Gives memory back to the system: pages of the one file, with the code that has run. Those that are
 * needed again are read from the file again. */
static void forget_file(void)
{
    uintptr_t page = getauxval(AT_PAGESZ);
    uintptr_t end = ((uintptr_t)bundle + bundle_length) & ~(page - 1);
    madvise((void *)&__executable_start, end - (uintptr_t)&__executable_start, MADV_DONTNEED);
}

/* Enters the dynamic linker as the kernel would for `ld.so --preload LIBRARIES PROGRAM ...`. */
static _Noreturn void enter(const int fds[COUNT], const char *folder, char **arguments)
{
    const unsigned char *linker = map_file(fds[0]);
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)linker;

    char *libraries = text(PATH_TO_FD "%d", fds[1]), *descriptors = "";
    for (int i = 2; i < COUNT - 1; i++)
        libraries = text("%s:" PATH_TO_FD "%d", libraries, fds[i]);
    for (int i = 0; i < COUNT; i++)
        descriptors = text("%s %d", descriptors, fds[i]);
    const char *own = arguments[0] ? arguments[0] : "nym-client";
    const char *first[] = {own, "--preload", libraries, "--argv0", own,
                           text(PATH_TO_FD "%d", fds[COUNT - 1]),
                           /* For program.c: where the bundle is mapped, the folder for bundle_file,
                            * and the descriptors that are open and no longer needed. */
                           text("%p", (const void *)bundle), folder, descriptors};
    size_t first_count = sizeof first / sizeof *first, argument_count = 0, variable_count = 0;
    while (arguments[0] && arguments[1 + argument_count])
        argument_count++;
    while (environ[variable_count])
        variable_count++;

    /* The initial stack of the System V ABI: count, arguments, environment, auxiliary vector. It is
     * what the kernel gives to a program that begins. */
    size_t words = 1 + first_count + argument_count + 1 + variable_count + 1 + 2 * AUXILIARY_MAX;
    uintptr_t stack[words] __attribute__((aligned(16)));
    uintptr_t *to = stack;
    *to++ = first_count + argument_count;
    for (size_t i = 0; i < first_count; i++)
        *to++ = (uintptr_t)first[i];
    for (size_t i = 0; i < argument_count; i++)
        *to++ = (uintptr_t)arguments[1 + i];
    *to++ = 0;
    for (size_t i = 0; i < variable_count; i++)
        *to++ = (uintptr_t)environ[i];
    *to++ = 0;
    for (const Elf64_auxv_t *from = auxiliary; from->a_type != AT_NULL && to < stack + words - 2; from++) {
        *to++ = from->a_type;
        /* The kernel's vector, except for what describes the program: here that is the linker. */
        *to++ = from->a_type == AT_PHDR    ? (uintptr_t)linker + head->e_phoff
                : from->a_type == AT_PHNUM ? head->e_phnum
                : from->a_type == AT_ENTRY ? (uintptr_t)linker + head->e_entry
                : from->a_type == AT_BASE  ? 0
                                           : from->a_un.a_val;
    }
    *to++ = AT_NULL;
    *to++ = 0;
    forget_file();
    leave_thread();
    __asm__ volatile(JUMP : : "r"(stack), "r"((uintptr_t)linker + head->e_entry) : "memory");
    __builtin_unreachable();
}

int main(int count, char **arguments)
{
    (void)count;
    /* The auxiliary vector begins behind the environment. */
    char **end = environ;
    while (*end++)
        ;
    auxiliary = (const Elf64_auxv_t *)end;
    /* With rights that the caller doesn't have, the folders and variables that the caller chooses
     * could make other code run with them. */
    if (getauxval(AT_SECURE)) {
        fprintf(stderr, "nym-client: it doesn't run setuid or with capabilities of its file; the "
                        "process that starts it can have them (systemd: AmbientCapabilities=)\n");
        return 1;
    }
    if (access("/proc/self/fd", X_OK) != 0 && (errno == ENOENT || errno == EACCES))
        fail("/proc/self/fd", "; mount it: mount -t proc proc /proc");
    bundle_check(bundle, bundle_length);
    signal(SIGXFSZ, SIG_IGN); /* a file beyond the limit of file sizes is an error, and no signal */
    forget_foreign_libraries();
    deny_clone3();
    int fds[COUNT];
    const char *folder = unpack_somewhere(fds);
    enter(fds, folder, arguments);
}
