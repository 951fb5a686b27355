/* A model provider that costs nothing: the mock upstream of benchmarks/gateway.py.
 *
 * One thread, epoll, HTTP/1.1 keep-alive on 127.0.0.1. It answers POST bodies in the OpenAI chat dialect, or in the
 * Anthropic dialect when the path ends in /messages. A body with "stream":true gets one chunk of about 270 bytes every
 * 10 ms, CHUNKS of them. A request whose credential or model was not rewritten by the gateway gets a 400, so a proxy
 * that does less work than it should cannot look fast.
 *
 * Usage: upstream PORT CHUNKS      Build: cc -O2 -o upstream upstream.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_CONNECTIONS 4096
#define BUFFER (256 * 1024)
#define TICKS_PER_CHUNK 10

struct connection {
    char *in;
    size_t used;
    int chunks_left; /* of the stream under way */
    int anthropic;
    int phase;
};

static struct connection table[MAX_CONNECTIONS];
static int chunks = 100;

static const char *CHAT =
    "{\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion\",\"created\":1790000000,\"model\":\"small-1\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},"
    "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":180,\"completion_tokens\":60,"
    "\"total_tokens\":240,\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
    "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}},\"system_fingerprint\":\"fp_mock\"}";
static const char *MESSAGES =
    "{\"id\":\"msg_0123456789abcdef\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"small-1\","
    "\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
    "\"usage\":{\"input_tokens\":180,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
    "\"output_tokens\":60}}";

static char chat_reply[2048], messages_reply[2048], refusal[256];
static int chat_length, messages_length, refusal_length;

static int make_reply(char *out, size_t size, const char *form) {
    char filler[321], body[1536];
    memset(filler, 'x', 320);
    for (int i = 7; i < 320; i += 8) filler[i] = ' ';
    filler[320] = 0;
    int length = snprintf(body, sizeof body, form, filler);
    return snprintf(out, size, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                    length, body);
}

static int put(int fd, const char *data, size_t length) {
    while (length) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN || errno == EINTR) continue; /* loopback, small writes: this spins briefly at most */
            return -1;
        }
        data += sent;
        length -= (size_t)sent;
    }
    return 0;
}

static int put_chunk(int fd, const char *data) {
    char frame[1024];
    int length = snprintf(frame, sizeof frame, "%zx\r\n%s\r\n", strlen(data), data);
    return put(fd, frame, (size_t)length);
}

static int stream_start(int fd, struct connection *c) {
    const char *head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    c->chunks_left = chunks;
    if (put(fd, head, strlen(head))) return -1;
    if (!c->anthropic) return 0;
    if (put_chunk(fd, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_0123456789abcdef\","
                      "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"small-1\",\"content\":[],\"stop_reason\":null,"
                      "\"stop_sequence\":null,\"usage\":{\"input_tokens\":180,\"output_tokens\":1}}}\n\n"))
        return -1;
    return put_chunk(fd, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
                         "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
}

static int stream_step(int fd, struct connection *c) {
    char data[640];
    if (c->chunks_left-- > 0) {
        if (c->anthropic)
            snprintf(data, sizeof data,
                     "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                     "\"text_delta\",\"text\":\"%08d and a few more words, as a model would say them in one go\"}}\n\n",
                     c->chunks_left);
        else
            snprintf(data, sizeof data,
                     "data: {\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,"
                     "\"model\":\"small-1\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
                     "\"%08d and a few more\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
                     c->chunks_left);
        return put_chunk(fd, data);
    }
    c->chunks_left = 0;
    if (c->anthropic) {
        if (put_chunk(fd, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n") ||
            put_chunk(fd, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
                          "\"stop_sequence\":null},\"usage\":{\"output_tokens\":60}}\n\n") ||
            put_chunk(fd, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"))
            return -1;
    } else {
        if (put_chunk(fd, "data: {\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":"
                          "1790000000,\"model\":\"small-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n") ||
            put_chunk(fd, "data: {\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":"
                          "1790000000,\"model\":\"small-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":180,\"completion_tokens\":60,"
                          "\"total_tokens\":240}}\n\n") ||
            put_chunk(fd, "data: [DONE]\n\n"))
            return -1;
    }
    return put(fd, "0\r\n\r\n", 5);
}

static int has(const char *in, size_t length, const char *word) {
    return memmem(in, length, word, strlen(word)) != NULL;
}

static const char *header(const char *in, const char *end, const char *name) {
    size_t length = strlen(name);
    for (const char *p = in; p && p < end; p = memchr(p, '\n', (size_t)(end - p)), p = p ? p + 1 : NULL)
        if ((size_t)(end - p) > length && !strncasecmp(p, name, length)) return p + length;
    return NULL;
}

/* Handle the requests that are complete in the buffer. -1: close. */
static int serve(int fd, struct connection *c) {
    while (!c->chunks_left) {
        c->in[c->used] = 0;
        char *body = memmem(c->in, c->used, "\r\n\r\n", 4);
        if (!body) return 0;
        body += 4;
        const char *length_text = header(c->in, body, "content-length:");
        size_t length = length_text ? strtoul(length_text, NULL, 10) : 0;
        if ((size_t)(body - c->in) + length > BUFFER - 1) return -1;
        if ((size_t)(c->in + c->used - body) < length) return 0;
        size_t head = (size_t)(body - c->in);
        char *line_end = memchr(c->in, '\r', head);
        c->anthropic = line_end && has(c->in, (size_t)(line_end - c->in), "/messages");
        int rewritten = has(c->in, head, "upstream-secret") &&
                        (has(body, length, "\"model\":\"small-1\"") || has(body, length, "\"model\": \"small-1\""));
        int failed;
        if (!rewritten) {
            failed = put(fd, refusal, (size_t)refusal_length);
        } else if (has(body, length, "\"stream\":true") || has(body, length, "\"stream\": true")) {
            failed = stream_start(fd, c);
        } else {
            failed = c->anthropic ? put(fd, messages_reply, (size_t)messages_length)
                                  : put(fd, chat_reply, (size_t)chat_length);
        }
        if (failed) return -1;
        size_t taken = head + length;
        memmove(c->in, c->in + taken, c->used - taken);
        c->used -= taken;
    }
    return 0;
}

static void drop(int fd) {
    free(table[fd].in);
    memset(&table[fd], 0, sizeof table[fd]);
    close(fd);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    if (argc > 2) chunks = atoi(argv[2]);
    signal(SIGPIPE, SIG_IGN);
    chat_length = make_reply(chat_reply, sizeof chat_reply, CHAT);
    messages_length = make_reply(messages_reply, sizeof messages_reply, MESSAGES);

    const char *why = "{\"error\":{\"message\":\"the credential or the model was not rewritten\"}}";
    refusal_length = snprintf(refusal, sizeof refusal,
                              "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                              strlen(why), why);

    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) return 1;

    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec every = {{0, 1000000}, {0, 1000000}};
    timerfd_settime(timer, 0, &every, NULL);
    event.data.fd = timer;
    epoll_ctl(poll, EPOLL_CTL_ADD, timer, &event);

    struct epoll_event ready[256];
    unsigned long tick = 0;
    for (;;) {
        int count = epoll_wait(poll, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                int peer;
                while ((peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    if (peer >= MAX_CONNECTIONS) { close(peer); continue; }
                    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    table[peer].in = malloc(BUFFER);
                    table[peer].phase = peer % TICKS_PER_CHUNK;
                    event.data.fd = peer;
                    epoll_ctl(poll, EPOLL_CTL_ADD, peer, &event);
                }
            } else if (fd == timer) {
                unsigned long passed;
                if (read(timer, &passed, sizeof passed) != sizeof passed) continue;
                for (; passed; passed--, tick++)
                    for (int peer = 0; peer < MAX_CONNECTIONS; peer++)
                        if (table[peer].in && table[peer].chunks_left && (int)(tick % TICKS_PER_CHUNK) == table[peer].phase) {
                            int last = table[peer].chunks_left == 1; /* then the end follows in the same tick */
                            if (stream_step(peer, &table[peer]) ||
                                (last && (stream_step(peer, &table[peer]) || serve(peer, &table[peer]))))
                                drop(peer);
                        }
            } else {
                struct connection *c = &table[fd];
                if (!c->in) continue;
                ssize_t got = recv(fd, c->in + c->used, BUFFER - 1 - c->used, 0);
                if (got <= 0 && !(got < 0 && errno == EAGAIN)) { drop(fd); continue; }
                if (got > 0) c->used += (size_t)got;
                if (serve(fd, c)) drop(fd);
            }
        }
    }
}
