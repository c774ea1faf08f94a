/* The floor of fan-out: one write() for each message and client, and nothing else.
 *
 * Prints the ports for clients and for the publisher. Clients connect first; then a publisher sends one
 * message a line; when it leaves, everyone is closed and the next round begins. With the argument
 * "joined", messages that arrive together go out in one write().
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_CLIENTS = 65536, READ = 65536, HEAD = 4 };

static int fds[MOST_CLIENTS], count;

static int listen_on_loopback(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096)
        || getsockname(fd, (struct sockaddr *)&address, &size)) {
        perror("listen");
        exit(1);
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static int gather(int clients, int entrance)
{
    struct pollfd both[2] = {{.fd = clients, .events = POLLIN}, {.fd = entrance, .events = POLLIN}};
    for (count = 0;;) {
        if (poll(both, 2, -1) < 0)
            exit(1);
        if (both[0].revents && count < MOST_CLIENTS)
            fds[count++] = accept(clients, NULL, NULL);
        else if (both[1].revents)
            return accept(entrance, NULL, NULL);
    }
}

static size_t frame(char *out, const char *payload, size_t size)
{
    size_t head = size < 126 ? 2 : HEAD;
    out[0] = (char)0x81;
    out[1] = (char)(size < 126 ? size : 126);
    if (head == HEAD) {
        out[2] = (char)(size >> 8);
        out[3] = (char)size;
    }
    memcpy(out + head, payload, size);
    return head + size;
}

static void write_to_all(const char *data, size_t size)
{
    for (int i = 0; i < count; i++)
        if (write(fds[i], data, size) < 0)
            continue; /* the client has gone */
}

static void fan_out(int publisher, int joined)
{
    static char in[READ], out[READ + READ * HEAD];
    size_t have = 0;
    ssize_t got;
    while ((got = read(publisher, in + have, READ - have)) > 0) {
        char *at = in, *end, *stop = in + have + got;
        size_t ready = 0;
        while ((end = memchr(at, '\n', stop - at))) {
            ready += frame(out + ready, at, end - at);
            at = end + 1;
            if (!joined) {
                write_to_all(out, ready);
                ready = 0;
            }
        }
        if (ready)
            write_to_all(out, ready);
        have = stop - at;
        memmove(in, at, have);
    }
}

int main(int argc, char **argv)
{
    int first, second, joined = argc > 1 && !strcmp(argv[1], "joined");
    int clients = listen_on_loopback(&first), entrance = listen_on_loopback(&second);
    signal(SIGPIPE, SIG_IGN);
    printf("%d %d\n", first, second);
    fflush(stdout);
    for (;;) {
        int publisher = gather(clients, entrance);
        fan_out(publisher, joined);
        close(publisher);
        for (int i = 0; i < count; i++)
            close(fds[i]);
    }
}
