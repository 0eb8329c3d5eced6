/*
 * gate - see gate.h. The rules, each with a raw-socket test in
 * tests/e2e/10-http-conformance; RFC 9112 section 6 says why.
 */
#include "server/http/gate.h"

#include <string.h>

enum {
    /* 10^18 still fits an int64_t; no body we take comes near. */
    LENGTH_DIGITS_MAX = 18,
};

static struct gate_verdict refuse(int status, const char *reason)
{
    return (struct gate_verdict){.status = status, .reason = reason};
}

/* RFC 9110 token characters. */
static bool token_byte(unsigned char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool token(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!token_byte((unsigned char)s.p[i]))
            return false;
    return s.len > 0;
}

/* Tab, space and visible bytes; 0x80 and above are opaque text. */
static bool field_value(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool parse_length(struct str s, uint64_t *out)
{
    uint64_t n = 0;
    if (s.len == 0 || s.len > LENGTH_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = n;
    return true;
}

struct tally {
    unsigned int lengths, codings, hosts;
    struct str length, coding, expect;
};

static const char *count_header(const struct http_pair *h, struct tally *t)
{
    if (!token(h->name))
        return "malformed header name";
    if (!field_value(h->value))
        return "control character in a header value";
    if (str_eq_case(h->name, STR("content-length"))) {
        t->lengths++;
        t->length = h->value;
    } else if (str_eq_case(h->name, STR("transfer-encoding"))) {
        t->codings++;
        t->coding = h->value;
    } else if (str_eq_case(h->name, STR("host"))) {
        t->hosts++;
    } else if (str_eq_case(h->name, STR("expect"))) {
        t->expect = h->value;
    }
    return NULL;
}

struct gate_verdict gate_check(const struct gate_input *in)
{
    struct tally t = {0};
    struct gate_verdict v = {0};

    if (!token(in->method))
        return refuse(400, "malformed method");
    for (size_t i = 0; i < in->header_count; i++) {
        const char *reason = count_header(&in->headers[i], &t);
        if (reason)
            return refuse(400, reason);
    }
    if (t.lengths > 1)
        return refuse(400, "more than one Content-Length");
    if (t.codings > 1)
        return refuse(400, "more than one Transfer-Encoding");
    if (t.lengths && t.codings)
        return refuse(400, "both Content-Length and Transfer-Encoding");
    if (t.codings && in->http_1_0)
        return refuse(400, "Transfer-Encoding in an HTTP/1.0 request");
    if (t.codings && !str_eq_case(str_trim(t.coding), STR("chunked")))
        return refuse(400, "unsupported Transfer-Encoding");
    if (t.hosts > 1)
        return refuse(400, "more than one Host");
    if (t.hosts == 0 && !in->http_1_0)
        return refuse(400, "missing Host");
    if (t.lengths && !parse_length(str_trim(t.length), &v.length))
        return refuse(400, "malformed Content-Length");
    if (t.expect.len && !str_eq_case(str_trim(t.expect), STR("100-continue")))
        return refuse(417, "unsupported Expect");
    v.has_length = t.lengths > 0;
    v.chunked = t.codings > 0;
    return v;
}
