/* Reads a bundle that was damaged in many ways: damage BUNDLE NUMBER
 *
 * Each time, some bytes of a copy are changed, or its end is cut off. The reader must say that the file
 * is damaged, or give the same members as before, and nothing else. tests/sanitize compiles this with
 * sanitizers, which end the process with another code if it reads or writes where it must not. */
#include "bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAME = 0, SAID = 1, WRONG = 98 }; /* exit codes; the sanitizers' is 99 */

static unsigned char *whole;
static size_t length;

/* The names stand behind the records, of 32 bytes each; see bundle.h. */
static const char *name_of(uint64_t number)
{
    uint64_t offset;
    memcpy(&offset, whole + 40 + 32 * number, sizeof offset);
    return (const char *)whole + offset;
}

static uint64_t count(void)
{
    uint64_t number;
    memcpy(&number, whole + 8, sizeof number);
    return number;
}

static unsigned char *unpacked(const unsigned char *bundle, const char *name, struct member *member)
{
    if (!bundle_find(bundle, name, member))
        exit(WRONG);
    unsigned char *to = malloc(member->size ? member->size : 1);
    if (!to)
        exit(WRONG);
    bundle_unpack(member, to);
    return to;
}

static unsigned char *unpacked_into_file(const unsigned char *bundle, const char *name, struct member *member)
{
    if (!bundle_find(bundle, name, member))
        exit(WRONG);
    unsigned char *to = malloc(member->size);
    int fd = bundle_file(IN_MEMORY, name, member);
    if (!to || fd < 0 || pread(fd, to, member->size, 0) != (ssize_t)member->size)
        exit(WRONG);
    close(fd);
    return to;
}

static void read_all(const unsigned char *bundle, size_t its_length, int is_in_files)
{
    struct member before, after;
    bundle_check(bundle, its_length);
    for (uint64_t i = 0; i < count(); i++) {
        unsigned char *expected = unpacked(whole, name_of(i), &before);
        unsigned char *found = is_in_files && before.size ? unpacked_into_file(bundle, name_of(i), &after)
                                                          : unpacked(bundle, name_of(i), &after);
        if (before.size != after.size || memcmp(expected, found, before.size) != 0)
            exit(WRONG);
        free(expected);
        free(found);
    }
    if (bundle_find(bundle, "no such member", &after) || bundle_find(bundle, "", &after))
        exit(WRONG);
}

/* A copy that is exactly as long as it may be read. */
static unsigned char *damaged(unsigned seed, size_t *its_length)
{
    srandom(seed);
    /* One in four is cut; of the others, half are damaged near the start, where the numbers are. */
    *its_length = seed % 4 == 0 ? (size_t)random() % length : length;
    unsigned char *copy = malloc(*its_length ? *its_length : 1);
    if (!copy)
        exit(WRONG);
    memcpy(copy, whole, *its_length);
    if (seed % 4 == 0)
        return copy;
    size_t within = seed % 2 ? length : 40 + 64 * (size_t)count();
    for (long left = 1 + random() % 8; left > 0; left--)
        copy[(size_t)random() % within] ^= (unsigned char)(1 << random() % 8);
    return copy;
}

int main(int arguments, char **argument)
{
    struct stat file;
    FILE *from = arguments == 3 ? fopen(argument[1], "rb") : NULL;
    if (!from || fstat(fileno(from), &file) != 0 || !(whole = malloc((size_t)file.st_size)))
        return 2;
    length = (size_t)file.st_size;
    if (fread(whole, 1, length, from) != length)
        return 2;
    read_all(whole, length, 0);
    read_all(whole, length, 1);
    int found[2] = {0, 0};
    unsigned number = (unsigned)strtoul(argument[2], NULL, 10);
    for (unsigned seed = 0; seed < number; seed++) {
        FILE *said = tmpfile();
        pid_t child = fork();
        if (child == 0) {
            size_t its_length;
            dup2(fileno(said), STDERR_FILENO);
            unsigned char *copy = damaged(seed, &its_length);
            read_all(copy, its_length, seed % 3 == 0);
            exit(SAME);
        }
        int status;
        waitpid(child, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) > SAID) {
            char line[1024];
            rewind(said);
            while (fgets(line, sizeof line, said))
                fputs(line, stderr);
            fprintf(stderr, "damage %u: status %d\n", seed, status);
            return 1;
        }
        found[WEXITSTATUS(status)]++;
        fclose(said);
    }
    printf("%u damaged bundles: %d were found to be damaged, %d have lost nothing\n", number, found[SAID],
           found[SAME]);
    return found[SAID] == 0;
}
