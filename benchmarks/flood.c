/* An attacker: connects, says what it read from stdin, and does so again, until its time is over.
 *
 * flood PORT SECONDS [tls] [once]
 *
 * It waits to be hung up on, or leaves after the first answer. Where it cannot connect it tries again 20 times a second.
 * Nothing is made anew that can be kept, so that what it spends is as little as such a thing can cost. Prints how often
 * it connected, how often it could not (or not shake hands), and the processor time that it spent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/ssl.h>
static SSL_CTX *context;
#endif

enum { MOST = 1 << 22, READ = 65536 };

static char words[MOST], answer[READ];
static size_t size;
static int once;
static long came, refused;

static double now(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int connected(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    struct timeval soon = {.tv_usec = 50000}, late = {.tv_sec = 5};
    struct linger hard = {.l_onoff = 1}; /* no port may wait after its end: there are 28,000 */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &late, sizeof late);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static void flood(int fd)
{
    size_t at = 0;
    ssize_t sent;
    while (at < size && (sent = send(fd, words + at, size - at, MSG_NOSIGNAL)) > 0)
        at += (size_t)sent;
    while (recv(fd, answer, READ, 0) > 0 && !once)
        continue;
}

#ifdef TLS
static void secure(void)
{
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\2h2", 3);
}

static void flood_tls(int fd)
{
    SSL *line = SSL_new(context);
    size_t at = 0;
    int sent;
    SSL_set_fd(line, fd);
    if (SSL_connect(line) != 1)
        refused++;
    else {
        while (at < size && (sent = SSL_write(line, words + at, (int)(size - at))) > 0)
            at += (size_t)sent;
        while (SSL_read(line, answer, READ) > 0 && !once)
            continue;
    }
    SSL_free(line);
}
#endif

int main(int count, char **args)
{
    int port, tls = 0, fd;
    double end;
    if (count < 3)
        return 2;
    for (int i = 3; i < count; i++) {
        tls |= !strcmp(args[i], "tls");
        once |= !strcmp(args[i], "once");
    }
    signal(SIGPIPE, SIG_IGN);
    size = fread(words, 1, MOST, stdin);
#ifdef TLS
    if (tls)
        secure();
#else
    if (tls)
        return 2;
#endif
    port = atoi(args[1]);
    for (end = now(CLOCK_MONOTONIC) + atof(args[2]); now(CLOCK_MONOTONIC) < end;) {
        if ((fd = connected(port)) < 0) {
            refused++;
            continue;
        }
        came++;
#ifdef TLS
        if (tls)
            flood_tls(fd);
        else
#endif
            flood(fd);
        close(fd);
    }
    printf("{\"connections\": %ld, \"refused\": %ld, \"cpu_ns\": %.0f}\n", came, refused,
           now(CLOCK_PROCESS_CPUTIME_ID) * 1e9);
    return 0;
}
