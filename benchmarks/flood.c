/* Opens connections to a node as fast as it is told, for the benchmarks `overload` and `relay`.

   flood PORT SOURCE SOURCES RATE AT_ONCE SECONDS [PACKETS]

   Connections go to 127.0.0.1:PORT, in turn from SOURCES addresses that begin with 127.0.0.SOURCE,
   RATE per second (0: as many as possible), and AT_ONCE at the same time. Each sends one of the
   PACKETS in the file, and waits for an answer; a packet that gets none is sent again. Without a
   file, each sends a packet of garbage, and waits for the end of the connection. RATE -1 opens
   AT_ONCE connections, sends half a packet on every second one, says `ready`, and holds them.

   It ends after SECONDS, or when all packets of the file have been answered.

   Prints how many connections were opened, how many packets were answered, and how many seconds
   that took. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PACKET = 1372, MOST = 65536 };

static unsigned char *packets;
static int *waiting; /* a ring of packets that are still to be sent */
static long first, last, count;
static int packet_of[MOST]; /* by descriptor; -1: nothing was sent */
static int port, source, sources;
static long opened, answered;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int start(int epoll) {
    struct sockaddr_in own = {.sin_family = AF_INET}, node = {.sin_family = AF_INET};
    struct epoll_event event = {.events = EPOLLOUT};
    int one = 1, connection = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (connection < 0 || connection >= MOST) {
        perror("socket");
        exit(1);
    }
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (unsigned)(source + opened % sources));
    node.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    node.sin_port = htons((unsigned short)port);
    /* The port is chosen when the connection is made, so that each can be used for many places. */
    setsockopt(connection, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
    event.data.fd = connection;
    packet_of[connection] = -1;
    if (bind(connection, (struct sockaddr *)&own, sizeof own) < 0 ||
        (connect(connection, (struct sockaddr *)&node, sizeof node) < 0 && errno != EINPROGRESS) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, connection, &event) < 0) {
        close(connection);
        return 0;
    }
    opened++;
    return 1;
}

static void again(int connection) {
    if (packet_of[connection] >= 0 && packets)
        waiting[last++ % count] = packet_of[connection];
}

/* Returns whether the connection is still open. */
static int go_on(int epoll, int connection, unsigned events) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = connection};
    unsigned char garbage[PACKET], answer[16];

    if (events & EPOLLOUT && !(events & (EPOLLERR | EPOLLHUP)) && packet_of[connection] < 0) {
        const unsigned char *packet = garbage;
        if (packets) {
            if (first == last)
                goto end; /* there are no packets left */
            packet_of[connection] = waiting[first++ % count];
            packet = packets + (size_t)packet_of[connection] * PACKET;
        } else {
            memset(garbage, 9, sizeof garbage);
            packet_of[connection] = 0;
        }
        if (send(connection, packet, PACKET, MSG_NOSIGNAL) == PACKET) {
            epoll_ctl(epoll, EPOLL_CTL_MOD, connection, &event);
            return 1;
        }
        again(connection);
    } else if (recv(connection, answer, sizeof answer, 0) > 0) {
        answered++;
    } else {
        again(connection);
    }
end:
    close(connection);
    return 0;
}

static void hold(int epoll, int at_once, double until) {
    static const unsigned char half[PACKET / 2];
    int i;

    for (i = 0; i < at_once; i++) {
        start(epoll);
        if (i % 100 == 0)
            usleep(2000);
    }
    for (i = 0; i < MOST; i += 2)
        if (send(i, half, sizeof half, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            continue;
    puts("ready");
    fflush(stdout);
    while (now() < until)
        usleep(10000);
}

int main(int argc, char **argv) {
    struct rlimit files = {MOST, MOST};
    struct epoll_event events[256];
    double rate, began, until;
    int at_once, open = 0, epoll = epoll_create1(0);
    long i;

    if (argc < 7 || epoll < 0)
        return 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < MOST ? files.rlim_max : MOST;
    setrlimit(RLIMIT_NOFILE, &files);
    port = atoi(argv[1]);
    source = atoi(argv[2]);
    sources = atoi(argv[3]);
    rate = atof(argv[4]);
    at_once = atoi(argv[5]);
    began = now();
    until = began + atof(argv[6]);
    if (rate < 0) {
        hold(epoll, at_once, until);
    } else {
        if (argc > 7) {
            FILE *file = fopen(argv[7], "rb");
            if (!file)
                return 2;
            fseek(file, 0, SEEK_END);
            count = last = ftell(file) / PACKET;
            rewind(file);
            packets = malloc((size_t)count * PACKET);
            waiting = malloc((size_t)count * sizeof *waiting);
            if (!packets || !waiting ||
                fread(packets, PACKET, (size_t)count, file) != (size_t)count)
                return 2;
            for (i = 0; i < count; i++)
                waiting[i] = (int)i;
            fclose(file);
        }
        while (packets ? answered < count && (now() < until || !answered) : now() < until) {
            int ready;
            while (open < at_once && (!packets || first < last) &&
                   (rate == 0 || (double)opened < (now() - began) * rate) && start(epoll))
                open++;
            ready = epoll_wait(epoll, events, 256, 1);
            for (i = 0; i < ready; i++)
                open -= !go_on(epoll, events[i].data.fd, events[i].events);
        }
    }
    printf("%ld %ld %f\n", opened, answered, now() - began);
    return 0;
}
