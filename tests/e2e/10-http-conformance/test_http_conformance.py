"""Raw sockets against the real server: what is refused, what closes, what stays usable.

Where libmicrohttpd decides before our code runs, the test says so; docs/compatibility.md
lists those exceptions.
"""
import re
import socket
import time

import pytest

HOST = b"Host: x\r\n"
GET = b"GET /healthy HTTP/1.1\r\n" + HOST + b"\r\n"


class Answer:
    """Replies of one connection and whether the server closed it."""

    def __init__(self, data, closed):
        self.data, self.closed = data, closed
        self.statuses = [int(s) for s in re.findall(rb"HTTP/1\.1 (\d\d\d)", data)]

    @property
    def status(self):
        return self.statuses[0] if self.statuses else None


def talk(server, *pieces, wait=10.0, replies=1, half_close=False, pause=0.1):
    """Sends the pieces and reads until `replies` final replies came, the peer closed or time is up."""
    s = server.connect(timeout=wait)
    data, closed = b"", False
    try:
        for i, piece in enumerate(pieces):
            if i:
                time.sleep(pause)
            s.sendall(piece)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            done = len([x for x in re.findall(rb"HTTP/1\.1 (\d\d\d)", data) if x[:1] != b"1"])
            # Once everything came, a close follows at once or not at all.
            s.settimeout(0.3 if done >= replies else max(0.1, deadline - time.monotonic()))
            try:
                more = s.recv(65536)
            except socket.timeout:
                break
            if not more:
                closed = True
                break
            data += more
    except (ConnectionResetError, BrokenPipeError):
        closed = True
    finally:
        s.close()
    return Answer(data, closed)


def ingest_server(start_server, *options):
    """A server whose /ingest takes bodies."""
    s = start_server(*options)
    if s.post("/ingest").status == 404:
        pytest.skip("this build has no /ingest")
    return s


def post(*headers, body=b"", path=b"/ingest", version=b"HTTP/1.1", host=HOST):
    return b"POST " + path + b" " + version + b"\r\n" + host + b"".join(
        h + b"\r\n" for h in headers) + b"\r\n" + body


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for all tests that leave it as it was."""
    from conftest import Server
    s = Server(tmp_path_factory.mktemp("http") / "data").start()
    yield s
    assert s.stop() == 0


REFUSED_AND_CLOSED = {
    "two equal lengths": post(b"Content-Length: 2", b"Content-Length: 2", body=b"ab"),
    "two different lengths": post(b"Content-Length: 2", b"Content-Length: 3", body=b"abc"),
    "lengths before a body that never comes": post(b"Content-Length: 2", b"Content-Length: 3"),
    "two lengths on GET": b"GET /healthy HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                          b"Content-Length: 2\r\n\r\n",
    "length and chunked": post(b"Content-Length: 5", b"Transfer-Encoding: chunked",
                               body=b"0\r\n\r\n"),
    "chunked and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5",
                               body=b"0\r\n\r\n"),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity"),
    "unknown coding": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked",
                          body=b"0\r\n\r\n"),
    "chunked in HTTP/1.0": post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n",
                                version=b"HTTP/1.0"),
    "no Host": post(b"Content-Length: 0", host=b""),
    "two Hosts": post(b"Host: y", b"Content-Length: 0"),
    "space before the colon": b"GET /healthy HTTP/1.1\r\nHost : x\r\n\r\n",
    "malformed header name": b"GET /healthy HTTP/1.1\r\nHost: x\r\nA(b: c\r\n\r\n",
    "header without colon": b"GET /healthy HTTP/1.1\r\nHost: x\r\nabc\r\n\r\n",
    "malformed method": b"G@T /healthy HTTP/1.1\r\nHost: x\r\n\r\n",
    "length with letters": post(b"Content-Length: 5x", body=b"abcde"),
    "negative length": post(b"Content-Length: -5"),
    "signed length": post(b"Content-Length: +5", body=b"abcde"),
    "empty length": post(b"Content-Length:"),
    "encoded NUL in the path": b"GET /healthy%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "encoded NUL in the query": b"GET /healthy?a=%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "broken escape in the path": b"GET /healthy%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "asterisk form": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "authority form": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "malformed chunk size": post(b"Transfer-Encoding: chunked", body=b"zz\r\nab\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("name", REFUSED_AND_CLOSED)
def test_ambiguous_requests_are_refused_and_the_connection_closed(shared, name):
    # A second request in the same bytes must never be run.
    a = talk(shared, REFUSED_AND_CLOSED[name] + GET)
    assert a.status == 400
    assert a.closed
    assert 200 not in a.statuses


def test_what_is_smuggled_behind_a_refused_request_is_not_run(shared):
    a = talk(shared, post(b"Content-Length: 4", b"Transfer-Encoding: chunked",
                          body=b"0\r\n\r\n" + GET))
    assert a.statuses == [400] and a.closed


def test_an_unknown_expectation_is_a_417(shared):
    a = talk(shared, post(b"Expect: miracles", b"Content-Length: 1", body=b"x"))
    assert a.status == 417 and a.closed


ACCEPTED = {
    "plain": GET,
    "absolute target": b"GET http://elsewhere:1/healthy HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute target with query": b"GET http://e/healthy?x=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "encoded slash-free path": b"GET /h%65althy HTTP/1.1\r\nHost: x\r\n\r\n",
    "upgrade to h2c is ignored": b"GET /healthy HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, "
                                 b"HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n",
    "small body of a GET is dropped": b"GET /healthy HTTP/1.1\r\nHost: x\r\n"
                                      b"Content-Length: 5\r\n\r\nabcde",
    "long query": b"GET /healthy?" + b"q" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_sound_requests_are_answered_and_the_connection_stays(shared, name):
    a = talk(shared, ACCEPTED[name] + GET, replies=2)
    assert a.statuses == [200, 200]
    assert not a.closed


def test_http_1_0_is_answered_and_closed(shared):
    a = talk(shared, b"GET /healthy HTTP/1.0\r\n\r\n")
    assert a.statuses == [200] and a.closed


def test_ten_pipelined_requests_are_answered_in_order(shared):
    a = talk(shared, GET * 10, replies=10)
    assert a.statuses == [200] * 10


def test_a_half_closed_client_gets_its_answer(shared):
    assert talk(shared, GET, half_close=True).status == 200


REFUSED_AND_USABLE = {
    "unknown path": (404, b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"),
    "unknown path with a body": (404, post(b"Content-Length: 5", path=b"/nowhere", body=b"abcde")),
    "unknown path with a chunked body": (404, post(b"Transfer-Encoding: chunked", path=b"/nowhere",
                                                   body=b"3;x=y\r\nabc\r\n0\r\nT: r\r\n\r\n")),
    "wrong method": (405, b"DELETE /healthy HTTP/1.1\r\nHost: x\r\n\r\n"),
    "wrong method with a body": (405, post(b"Content-Length: 3", path=b"/healthy", body=b"abc")),
    "malformed Accept": (400, b"GET /healthy HTTP/1.1\r\nHost: x\r\nAccept: a/b/c\r\n\r\n"),
}


@pytest.mark.parametrize("name", REFUSED_AND_USABLE)
def test_plain_mistakes_leave_the_connection_usable(shared, name):
    status, request = REFUSED_AND_USABLE[name]
    a = talk(shared, request + GET, replies=2)
    assert a.statuses == [status, 200]
    assert not a.closed


def test_not_found_is_worded_as_the_reference_does(shared):
    r = shared.get("/nowhere")
    assert (r.status, r.text) == (404, "404 page not found\n")
    assert r.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert r.headers["X-Content-Type-Options"] == "nosniff"


def test_wrong_method_has_allow_and_no_body(shared):
    r = shared.post("/healthy", b"")
    assert (r.status, r.body) == (405, b"")
    assert r.headers["Allow"] == "GET"


def test_malformed_accept_is_worded_as_the_reference_does(shared):
    r = shared.get("/healthy", headers={"Accept": "a/b/c"})
    assert r.status == 400
    assert r.text == "Invalid header format: mime: unexpected content after media subtype\n"


def test_a_long_length_is_refused_before_the_body(start_server):
    s = ingest_server(start_server, "--limits.ingest_body_bytes_max=64KiB", "--limits.push_body_bytes_max=64KiB")
    a = talk(s, post(b"Content-Length: 999999999", path=b"/ingest"))
    assert a.status == 413 and a.closed


def test_a_long_length_with_expect_gets_no_100(start_server):
    s = ingest_server(start_server, "--limits.ingest_body_bytes_max=64KiB")
    a = talk(s, post(b"Content-Length: 999999999", b"Expect: 100-continue", path=b"/ingest"))
    assert a.statuses == [413] and a.closed


def test_a_long_chunked_body_is_refused_after_it(start_server):
    s = ingest_server(start_server, "--limits.ingest_body_bytes_max=64KiB")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    a = talk(s, post(b"Transfer-Encoding: chunked", path=b"/ingest", body=chunk * 4 + b"0\r\n\r\n")
             + GET, replies=2)
    assert a.statuses == [413, 200]


def test_bodies_over_the_memory_budget_are_a_503_with_retry_after(start_server):
    s = ingest_server(start_server, "--http.memory.max_bytes=128KiB")
    a = talk(s, post(b"Content-Length: 200000", path=b"/ingest", body=b"x" * 200000))
    assert a.status == 503
    assert b"Retry-After: 1" in a.data


def test_a_body_in_time_gets_its_100(shared):
    if shared.post("/ingest").status == 404:
        pytest.skip("this build has no /ingest")
    a = talk(shared, post(b"Content-Length: 2", b"Expect: 100-continue", path=b"/ingest"), b"ab")
    assert a.statuses[0] == 100 and len(a.statuses) == 2


def test_a_slow_header_is_ended(start_server):
    s = start_server("--http.header_timeout=1s")
    start = time.monotonic()
    a = talk(s, b"GET /healthy HTTP/1.1\r\n", b"Ho", b"st:", wait=8)
    assert a.closed and not a.statuses
    assert time.monotonic() - start < 5


def test_a_silent_connection_is_ended(start_server):
    s = start_server("--http.header_timeout=1s")
    a = talk(s, b"", wait=8)
    assert a.closed and not a.statuses


def test_a_slow_body_is_ended(start_server):
    s = ingest_server(start_server, "--http.header_timeout=1s", "--http.body_rate.min_bytes=1KiB")
    pieces = [b"x"] * 40
    start = time.monotonic()
    a = talk(s, post(b"Content-Length: 1000", path=b"/ingest"), *pieces, wait=10, pause=0.2)
    assert a.closed and not a.statuses
    assert time.monotonic() - start < 9


def test_a_slow_client_does_not_slow_others(start_server):
    s = ingest_server(start_server, "--http.threads=1")
    slow = [s.connect() for _ in range(20)]
    for c in slow:
        c.sendall(post(b"Content-Length: 1000", path=b"/ingest", body=b"x"))
    start = time.monotonic()
    assert s.get("/healthy").status == 200
    assert time.monotonic() - start < 2
    for c in slow:
        c.close()


def test_headers_beyond_the_pool_are_refused(shared):
    # libmicrohttpd's own answers; the numbers are its per-connection memory (32 KiB).
    assert talk(shared, b"GET /healthy HTTP/1.1\r\nHost: x\r\nA: " + b"y" * 40000
                + b"\r\n\r\n").status == 431
    assert talk(shared, b"GET /healthy?" + b"y" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n").status \
        == 414


def test_an_http2_preface_is_refused(shared):
    a = talk(shared, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert a.status in (400, 505) and a.closed


def test_garbage_ends_the_connection(shared):
    assert talk(shared, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").closed


EXCEPTIONS = {
    # What libmicrohttpd 0.9.75 accepts and newer versions refuse: its parser works on C strings.
    "bare LF line ends": b"GET /healthy HTTP/1.1\nHost: x\n\n",
    "NUL in a header value": b"GET /healthy HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
    "NUL in the target": b"GET /healthy\0x HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces in the request line": b"GET  /healthy HTTP/1.1\r\nHost: x\r\n\r\n",
    "folded header": b"GET /healthy HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "HTTP/1.2": b"GET /healthy HTTP/1.2\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_library_exceptions_are_answered_or_refused_never_worse(shared, name):
    a = talk(shared, EXCEPTIONS[name])
    assert a.status in (200, 400, 505)
    assert shared.alive()


def test_everything_is_below_the_base_path(start_server):
    s = start_server(base_path="/a/b")
    assert s.get("/healthy").status == 200
    assert s.get("/").status == 200
    assert talk(s, GET).status == 404
    a = talk(s, b"GET /a/b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert a.status == 308 and b"Location: /a/b/\r\n" in a.data
    assert talk(s, b"GET /a/bhealthy HTTP/1.1\r\nHost: x\r\n\r\n").status == 404


def test_sigterm_ends_in_time_with_idle_and_half_sent_requests(start_server):
    s = ingest_server(start_server)
    idle, half = s.connect(), s.connect()
    idle.sendall(GET)
    assert idle.recv(1000).startswith(b"HTTP/1.1 200")
    half.sendall(post(b"Content-Length: 10", path=b"/ingest", body=b"x"))
    time.sleep(0.2)
    start = time.monotonic()
    assert s.stop() == 0
    assert time.monotonic() - start < 5
    idle.close()
    half.close()


def test_new_connections_are_refused_while_stopping(start_server):
    s = ingest_server(start_server)
    half = s.connect()
    half.sendall(post(b"Content-Length: 10", path=b"/ingest", body=b"x"))
    time.sleep(0.2)
    s.process.terminate()
    time.sleep(0.5)
    with pytest.raises(OSError):
        s.connect(timeout=1)
    half.close()
    # A second SIGTERM would kill it.
    assert s.process.wait(10) == 0
