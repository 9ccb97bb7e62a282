/* A katrio client in C, with libnng alone, as docs/protocol.md tells.
 *
 * Build:  cc -std=c11 -Wall -Wextra -o client client.c -lnng      (Debian: apt-get install gcc libnng-dev)
 * Usage:  ./client ipc:///path/of/server
 *
 * It makes a sandbox and a container, runs a program in it, reads 1 MiB of its output under credit, cancels an ask,
 * and gets an error. Blocking, one ask in flight beside its stream; the few kinds of msgpack that it needs are written
 * and read by hand. Prints one JSON object; what goes wrong ends it with a line and exit code 1.
 */
#include <inttypes.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DATA, HELLO, PING, PONG, BYE };
enum { CREDIT = 32, CHUNK_COST = 64, WINDOW = 64 * 1024, FRAME_BYTES = 66560 };

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* writing msgpack */

typedef struct { uint8_t at[FRAME_BYTES]; size_t size; } Writer;

static void raw(Writer *w, const void *bytes, size_t count) {
    if (w->size + count > sizeof w->at) fail("writing", "more than one frame holds");
    memcpy(w->at + w->size, bytes, count);
    w->size += count;
}
static void byte(Writer *w, unsigned value) { uint8_t b = (uint8_t)value; raw(w, &b, 1); }
static void big(Writer *w, uint64_t value, int bytes) { while (bytes-- > 0) byte(w, (unsigned)(value >> (8 * bytes)) & 0xff); }
static void array(Writer *w, unsigned count) { byte(w, 0x90 | count); }
static void map(Writer *w, unsigned count) { byte(w, 0x80 | count); }
static void nil(Writer *w) { byte(w, 0xc0); }
static void number(Writer *w, uint64_t value) { byte(w, 0xcf); big(w, value, 8); }
static void text(Writer *w, const char *value) { size_t n = strlen(value); byte(w, 0xda); big(w, n, 2); raw(w, value, n); }

/* reading msgpack */

typedef struct { const uint8_t *at, *end; } Reader;

static const uint8_t *take(Reader *r, uint64_t count) {
    if (count > (uint64_t)(r->end - r->at)) fail("reading", "the value is cut short");
    const uint8_t *start = r->at;
    r->at += count;
    return start;
}
static uint64_t read_big(Reader *r, int bytes) {
    uint64_t value = 0;
    for (const uint8_t *p = take(r, (uint64_t)bytes); bytes-- > 0; p++) value = value << 8 | *p;
    return value;
}
/* the length of an array, or of a map (as the number of its pairs), or of text or bytes */
static uint64_t length(Reader *r) {
    uint8_t b = *take(r, 1);
    if (b >= 0x80 && b <= 0x9f) return b & 0x0f;
    if (b >= 0xa0 && b <= 0xbf) return b & 0x1f;
    switch (b) {
    case 0xc4: case 0xd9: return read_big(r, 1);
    case 0xc5: case 0xda: case 0xdc: case 0xde: return read_big(r, 2);
    case 0xc6: case 0xdb: case 0xdd: case 0xdf: return read_big(r, 4);
    }
    fail("reading", "expected something with a length");
    return 0;
}
static uint64_t read_number(Reader *r) {
    uint8_t b = *take(r, 1);
    if (b <= 0x7f) return b;
    if (b >= 0xcc && b <= 0xcf) return read_big(r, 1 << (b - 0xcc));
    fail("reading", "expected a number");
    return 0;
}
static bool read_text(Reader *r, char *into, size_t room) {
    uint64_t n = length(r);
    const uint8_t *p = take(r, n);
    size_t kept = n < room ? (size_t)n : room - 1;
    memcpy(into, p, kept);
    into[kept] = 0;
    return kept == n;
}
static void skip(Reader *r) {
    uint8_t b = *r->at;
    if (b <= 0x7f || b >= 0xe0 || (b >= 0xc0 && b <= 0xc3)) { take(r, 1); return; }
    if (b == 0xca || b == 0xcb) { take(r, b == 0xca ? 5 : 9); return; }
    if (b >= 0xcc && b <= 0xd3) { take(r, 1 + (1u << ((b - 0xcc) & 3))); return; }
    bool is_array = (b & 0xf0) == 0x90 || b == 0xdc || b == 0xdd, is_map = (b & 0xf0) == 0x80 || b == 0xde || b == 0xdf;
    uint64_t n = length(r);
    if (!is_array && !is_map) { take(r, n); return; }
    for (uint64_t i = 0; i < (is_map ? 2 * n : n); i++) skip(r);
}
/* moves to the value of `key` in the map that starts here */
static bool find(Reader *r, const char *key) {
    char name[64];
    for (uint64_t n = length(r); n > 0; n--) {
        bool whole = read_text(r, name, sizeof name);
        if (whole && strcmp(name, key) == 0) return true;
        skip(r);
    }
    return false;
}

/* the link: frames */

static nng_socket sock;
static uint64_t unacked, owed, counter;
static uint8_t *waiting[64];  /* envelopes of the last frame that nobody has read yet */
static size_t waiting_size[64], waiting_count, waiting_next;

static void check(int status, const char *what) { if (status != 0) fail(what, nng_strerror(status)); }

static void send_frame(unsigned kind, const void *message, size_t size) {
    Writer w = {.size = 0};
    raw(&w, "\x80\0\0\0", 4);  /* the request id that a raw REQ socket puts before the body */
    array(&w, 3);
    number(&w, kind);
    number(&w, owed);
    array(&w, message != NULL);
    if (message != NULL) { byte(&w, 0xc6); big(&w, size, 4); raw(&w, message, size); }
    owed = 0;
    check(nng_send(sock, w.at, w.size, 0), "send");
}

static unsigned receive_frame(void) {
    static uint8_t *body;
    static size_t size;
    if (body != NULL) nng_free(body, size);
    check(nng_recv(sock, &body, &size, NNG_FLAG_ALLOC), "receive");
    Reader r = {body, body + size};
    length(&r);
    unsigned kind = (unsigned)read_number(&r);
    unacked -= read_number(&r);
    waiting_count = waiting_next = 0;
    for (uint64_t n = length(&r); n > 0 && waiting_count < 64; n--) {
        uint64_t bytes = length(&r);
        waiting_size[waiting_count] = bytes;
        waiting[waiting_count++] = (uint8_t *)take(&r, bytes);
    }
    if (kind == DATA && waiting_count > 0 && ++owed >= CREDIT / 4) send_frame(DATA, NULL, 0);
    if (kind == PING) send_frame(PONG, NULL, 0);
    if (kind == BYE) fail("receive", "the server said goodbye");
    return kind;
}

/* the link: envelopes */

static void send_envelope(const Writer *w) {
    /* one ask at a time and credit for every quarter of a window: never near the 32 that may be un-acked */
    if (++unacked > CREDIT) fail("send", "out of credit");
    send_frame(DATA, w->at, w->size);
}
static Reader receive(void) {
    while (waiting_next >= waiting_count) receive_frame();
    Reader r = {waiting[waiting_next], waiting[waiting_next] + waiting_size[waiting_next]};
    waiting_next++;
    return r;
}

static uint64_t ask(const char *to, const char *verb, const Writer *args, uint64_t window) {
    Writer w = {.size = 0};
    array(&w, 8);
    text(&w, "ask");
    number(&w, ++counter);
    text(&w, to);
    text(&w, verb);
    if (args != NULL) raw(&w, args->at, args->size); else map(&w, 0);
    if (window > 0) nil(&w); else number(&w, 60000);
    number(&w, counter);  /* the watermark: every earlier answer has come, or is not wanted */
    number(&w, window);
    send_envelope(&w);
    return counter;
}

static uint64_t output_bytes;
static bool output_is_x = true;

/* Waits for the answer of `wanted`; `code` gets "" or the code of its failure. Counts chunks that come before it. */
static Reader answer(uint64_t wanted, char *code, size_t room) {
    uint64_t due = 0;
    code[0] = 0;
    for (;;) {
        Reader r = receive();
        char tag[16];
        length(&r);
        read_text(&r, tag, sizeof tag);
        uint64_t about = read_number(&r);
        if (about != wanted) fail("answer", "of an ask that was given up");
        if (strcmp(tag, "reply") == 0) return r;
        if (strcmp(tag, "failure") == 0) { read_text(&r, code, room); return r; }
        if (strcmp(tag, "chunk") != 0) fail("answer", tag);
        if (read_number(&r) != output_bytes) fail("chunk", "a gap");
        uint64_t size = length(&r);
        for (const uint8_t *p = take(&r, size); p < r.at; p++) output_is_x &= *p == 'x';
        output_bytes += size;
        due += size + CHUNK_COST;
        if (due < WINDOW / 4) continue;
        Writer w = {.size = 0};
        array(&w, 3);
        text(&w, "credit");
        number(&w, wanted);
        number(&w, due);
        send_envelope(&w);
        due = 0;
    }
}
static Reader must(uint64_t asked) {
    char code[64];
    Reader r = answer(asked, code, sizeof code);
    if (code[0]) fail("the server answers", code);
    return r;
}

/* What nng took and did not send yet is lost by a close: the link is ours to close once the server has said goodbye. */
static void leave(void) {
    Writer w = {.size = 0};
    array(&w, 3);
    text(&w, "goodbye");
    text(&w, "");
    text(&w, "done");
    send_envelope(&w);
    send_frame(BYE, NULL, 0);
    /* nng says nothing when the server closes instead of answering */
    nng_setopt_ms(sock, NNG_OPT_RECVTIMEO, 500);
    for (unsigned kind = DATA; kind != BYE;) {
        uint8_t *body;
        size_t size;
        if (nng_recv(sock, &body, &size, NNG_FLAG_ALLOC) != 0) break;
        Reader r = {body, body + size};
        length(&r);
        kind = (unsigned)read_number(&r);
        nng_free(body, size);
    }
    nng_close(sock);
}

static void process(Writer *w, unsigned count, const char *const *args) {
    text(w, "process");
    map(w, 1);
    text(w, "args");
    array(w, count);
    for (unsigned i = 0; i < count; i++) text(w, args[i]);
}
static Writer one_text(const char *key, const char *value) {
    Writer w = {.size = 0};
    map(&w, 1);
    text(&w, key);
    text(&w, value);
    return w;
}

int main(int argc, char **argv) {
    if (argc != 2) fail("usage", "client ipc:///path/of/server");
    check(nng_req0_open_raw(&sock), "open");
    nng_setopt_ms(sock, NNG_OPT_RECVTIMEO, 30000);
    nng_setopt_size(sock, NNG_OPT_RECVMAXSZ, 128 * 1024);
    nng_setopt_ms(sock, NNG_OPT_RECONNMINT, 3600000);  /* a link that broke is not dialled again behind our back */
    check(nng_dial(sock, argv[1], NULL, 0), "dial");
    send_frame(HELLO, "katrio/1", 8);
    if (receive_frame() != HELLO || waiting_size[0] != 8 || memcmp(waiting[0], "katrio/1", 8) != 0)
        fail("hello", "another version of the frames");
    waiting_next = waiting_count;

    char name[32], tag[16], server[65], code[64], state[32];
    snprintf(name, sizeof name, "example-c-%ld", (long)getpid());
    Writer w = {.size = 0};
    array(&w, 5);
    text(&w, "hello");
    array(&w, 1);
    number(&w, 1);
    text(&w, name);
    number(&w, 1);  /* the epoch: grows with each start of a client of that name */
    number(&w, 1);
    send_envelope(&w);
    Reader r = receive();
    length(&r);
    read_text(&r, tag, sizeof tag);
    if (strcmp(tag, "welcome") != 0) fail("hello", tag);
    uint64_t version = read_number(&r);
    read_text(&r, server, sizeof server);

    Writer args = one_text("id", "box");
    must(ask("", "create_sandbox", &args, 0));
    must(ask("box", "start", NULL, 0));
    args.size = 0;
    map(&args, 2);
    text(&args, "id");
    text(&args, "web");
    text(&args, "spec");
    map(&args, 1);
    process(&args, 2, (const char *[]){"sleep", "1000"});
    must(ask("box", "create_container", &args, 0));
    must(ask("box/web", "start", NULL, 0));

    args.size = 0;
    map(&args, 2);
    text(&args, "id");
    text(&args, "job");
    process(&args, 3, (const char *[]){"sh", "-c", "head -c 1048576 /dev/zero | tr '\\0' x; exit 7"});
    must(ask("box/web", "exec", &args, 0));
    args = one_text("process", "job");
    must(ask("box/web", "read_stdout", &args, WINDOW));
    r = must(ask("box/web", "wait", &args, 0));
    if (!find(&r, "code")) fail("wait", "no code");
    uint64_t exit_code = read_number(&r);

    /* nothing answers a cancel, and a cancelled ask is not answered either */
    uint64_t given_up = ask("box/web", "wait", NULL, 0);
    w.size = 0;
    array(&w, 2);
    text(&w, "cancel");
    number(&w, given_up);
    send_envelope(&w);
    r = must(ask("box/web", "info", NULL, 0));
    if (!find(&r, "state")) fail("info", "no state");
    read_text(&r, state, sizeof state);

    r = answer(ask("box/web", "start", NULL, 0), code, sizeof code);
    skip(&r);  /* the message, for people */
    char found_state[32] = "";
    if (find(&r, "state")) read_text(&r, found_state, sizeof found_state);

    must(ask("box/web", "stop", NULL, 0));
    must(ask("box", "stop", NULL, 0));
    must(ask("box", "delete", NULL, 0));
    leave();
    printf("{\"server\": \"%s\", \"version\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"all_x\": %s, \"exit\": %" PRIu64 ", "
           "\"state\": \"%s\", \"error\": \"%s\", \"details\": {\"state\": \"%s\"}}\n",
           server, version, output_bytes, output_is_x ? "true" : "false", exit_code, state, code, found_state);
    return 0;
}
