/* What the system starts: static, so that it needs nothing of the machine.
 *
 * The program behind it is an ordinary one, with a dynamic linker and libraries. They are unpacked
 * into files in memory, which go when the process goes: nothing is left behind, however it ends. The
 * dynamic linker is mapped and entered as the kernel would do it, without execve: so the process
 * stays that of the one file for ps, for profiles, and for whoever writes to it.
 *
 * Where files can't be made in memory, unlinked ones in a folder that can hold programs will do.
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

#define PAGE 4096UL
#define AUXILIARY_MAX 64 /* Linux has 24 */
#define NO_PROGRAMS "programs can't be run from there"

__asm__(".pushsection .rodata.bundle, \"a\", @progbits\n"
        ".balign 4096\n"
        "bundle: .incbin \"" BUNDLE "\"\n"
        ".popsection\n");
extern const unsigned char bundle[];

/* The dynamic linker, the libraries of the program, the program. */
static const char *const needed[] = {NEEDED};
enum { COUNT = sizeof needed / sizeof *needed };

static const Elf64_auxv_t *auxiliary;

static _Noreturn void fail(const char *what, const char *advice)
{
    fprintf(stderr, "nym-client: can't start: %s: %s%s\n", what, strerror(errno), advice);
    exit(1);
}

/* A place for files, and why it can't be used. */
struct failure {
    const char *place, *step;
    int error;
};

/* Files for all that is needed; 0, bundle_step and an errno where the folder can't hold programs. */
static int unpack(const char *folder, int fds[COUNT])
{
    struct member member;
    for (int i = 0; i < COUNT; i++) {
        if (!bundle_find(bundle, needed[i], &member))
            abort();
        fds[i] = bundle_file(folder, needed[i], &member);
        if (fds[i] >= 0) {
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
    bundle_forget(bundle);
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

/* ~/.cache/nym, made where it isn't there; "" without a home. */
static const char *cache_folder(void)
{
    static char path[PATH_MAX];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
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

/* Says of each place what failed, in one line. */
static _Noreturn void fail_everywhere(const struct failure *failures, size_t count)
{
    int is_noexec = 0;
    fputs("nym-client: can't start: it finds no place for its libraries: ", stderr);
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

/* The folder with the files, or IN_MEMORY. */
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
            if (count > 1)
                fprintf(stderr, "nym-client: %s can't hold programs (%s), so %s is used.\n",
                        failures[1].place, strerror(failures[1].error), folder);
            return folder;
        }
        failures[count++] = (struct failure){folder, bundle_step, errno};
    }
    fail_everywhere(failures, count);
}

/* What LD_ variables name is made for the machine's own dynamic linker and C library. */
static void forget_foreign_libraries(void)
{
    char **kept = environ;
    for (char **variable = environ; *variable; variable++)
        if (strncmp(*variable, "LD_", 3) != 0)
            *kept++ = *variable;
    *kept = NULL;
}

/* Older containers refuse system calls that they don't know, where glibc goes on without clone3 only
 * if there is none. Of two filters that refuse, the newer one's error counts. */
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
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* Maps an ELF file that runs at any address, as the kernel does; returns where it is. */
static unsigned char *map_file(int fd)
{
    Elf64_Ehdr head;
    Elf64_Phdr segments[16];
    if (pread(fd, &head, sizeof head, 0) != sizeof head || head.e_phnum > 16 ||
        pread(fd, segments, sizeof *segments * head.e_phnum, (off_t)head.e_phoff) < 0)
        fail(needed[0], "");
    uint64_t end = 0;
    for (int i = 0; i < head.e_phnum; i++)
        if (segments[i].p_type == PT_LOAD)
            end = segments[i].p_vaddr + segments[i].p_memsz;
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
        uint64_t into_page = segment->p_vaddr % PAGE, in_file = into_page + segment->p_filesz;
        uint64_t whole = (in_file + PAGE - 1) & ~(PAGE - 1), all = into_page + segment->p_memsz;
        unsigned char *to = base + (segment->p_vaddr - into_page);
        if (mmap(to, in_file, protection, MAP_PRIVATE | MAP_FIXED, fd,
                 (off_t)(segment->p_offset - into_page)) == MAP_FAILED ||
            (all > whole && mmap(to + whole, all - whole, protection,
                                 MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED))
            fail(needed[0], "");
        if (segment->p_memsz > segment->p_filesz)
            memset(to + in_file, 0, whole - in_file);
    }
    return base;
}

/* glibc has told the kernel of a place in this program's memory; the next C library has its own. */
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
                           /* For the program: where its bundle is mapped, where bundle_file makes
                            * files, and which are open and won't be needed. */
                           text("%p", (const void *)bundle), folder, descriptors};
    size_t first_count = sizeof first / sizeof *first, argument_count = 0, variable_count = 0;
    while (arguments[0] && arguments[1 + argument_count])
        argument_count++;
    while (environ[variable_count])
        variable_count++;

    /* The System V ABI's initial stack: count, arguments, environment, auxiliary vector. */
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
        *to++ = from->a_type == AT_PHDR    ? (uintptr_t)linker + head->e_phoff
                : from->a_type == AT_PHNUM ? head->e_phnum
                : from->a_type == AT_ENTRY ? (uintptr_t)linker + head->e_entry
                : from->a_type == AT_BASE  ? 0
                                           : from->a_un.a_val;
    }
    *to++ = AT_NULL;
    *to++ = 0;
    leave_thread();
    __asm__ volatile("mov %0, %%rsp\n\t"
                     "xor %%edx, %%edx\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "jmp *%1"
                     :
                     : "r"(stack), "r"((uintptr_t)linker + head->e_entry)
                     : "memory", "rdx");
    __builtin_unreachable();
}

int main(int count, char **arguments)
{
    (void)count;
    char **end = environ;
    while (*end++)
        ;
    auxiliary = (const Elf64_auxv_t *)end;
    if (getauxval(AT_SECURE)) {
        fprintf(stderr, "nym-client: it doesn't run setuid or with capabilities of its file; whoever "
                        "starts it can have them (systemd: AmbientCapabilities=)\n");
        return 1;
    }
    if (access("/proc/self/fd", X_OK) != 0 && (errno == ENOENT || errno == EACCES))
        fail("/proc/self/fd", "; mount it: mount -t proc proc /proc");
    signal(SIGXFSZ, SIG_IGN); /* where files may not grow, that is an error */
    forget_foreign_libraries();
    deny_clone3();
    int fds[COUNT];
    const char *folder = unpack_somewhere(fds);
    enter(fds, folder, arguments);
}
