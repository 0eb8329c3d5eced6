"""POST /ingest: names, formats, and the three dialects of its errors."""
import gzip
import json
import re
import time
import urllib.parse

from pprof_wire import profile

FILE = 'Content-Disposition: form-data; name="%s"; filename="x"\r\n\r\n'


def ingest(server, name, body, path="/ingest", headers=None, **params):
    query = urllib.parse.urlencode({"name": name, **params})
    return server.post(f"{path}?{query}", body, headers=headers or {})


def form(**parts):
    body = b"".join(b"--b\r\n" + (FILE % name).encode() + data + b"\r\n"
                    for name, data in parts.items()) + b"--b--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=b"}


def stacks(server, profile_type, service):
    now = int(time.time() * 1000)
    reply = server.post("/querier.v1.QuerierService/SelectMergeStacktraces",
                        json.dumps({"profileTypeID": profile_type,
                                    "labelSelector": '{service_name="%s"}' % service,
                                    "start": now - 3600000, "end": now + 3600000}).encode(),
                        headers={"Content-Type": "application/json"})
    assert reply.status == 200, reply.text
    graph = json.loads(reply.text)["flamegraph"]
    return graph.get("names"), int(graph.get("total", "0"))


CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"


def test_folded_text_is_cpu_at_100_hertz_unless_the_name_says_otherwise(server):
    assert ingest(server, "shop.cpu{env=prod}", b"main;work 3\n").status == 200
    assert stacks(server, CPU, "shop") == (["total", "main", "work"], 30000000)
    assert ingest(server, "shop.alloc_space", b"a;b 7\n").status == 200
    assert stacks(server, "memory:alloc_space:bytes::", "shop") == (["total", "a", "b"], 7)
    assert ingest(server, "lines", b"a;b\na;b\n", format="lines", sampleRate="1000",
                  path="/pyroscope/ingest").status == 200
    assert stacks(server, CPU, "lines") == (["total", "a", "b"], 2000000)


def test_pprof_raw_and_in_a_form(server):
    raw = profile({"main;work": (5,)}, time.time_ns())
    assert ingest(server, "raw", raw, format="pprof").status == 200
    assert ingest(server, "raw", gzip.compress(raw), format="pprof").status == 200
    body, headers = form(profile=raw)
    assert ingest(server, "raw", body, headers=headers).status == 200
    assert stacks(server, CPU, "raw") == (["total", "main", "work"], 15)


def test_success_has_neither_body_nor_type(server):
    reply = ingest(server, "x", b"a 1\n")
    assert (reply.status, reply.body, reply.headers["Content-Type"]) == (200, b"", None)


def shape_a(reply, status, code, message):
    assert reply.status == status, reply.text
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.text.endswith("\n")
    body = json.loads(reply.text)
    assert body["code"] == code and re.search(message, body["message"]), reply.text


def shape_b(reply, status, code, message):
    assert reply.status == status, reply.text
    assert "X-Content-Type-Options" not in reply.headers and not reply.text.endswith("\n")
    body = json.loads(reply.text)
    assert body["code"] == code and re.search(message, body["message"]), reply.text


def test_names_are_checked_before_the_body(server):
    shape_a(ingest(server, "", b"?"), 400, "invalid_argument", "^name: service name is required$")
    reply = ingest(server, "a<b>&c", b"a 1\n")
    shape_a(reply, 400, "invalid_argument", "^name: invalid service name: a<b>&c: ")
    assert "\\u003cb\\u003e\\u0026c" in reply.text


def test_text_answers_in_shape_b_where_the_pipeline_refuses(server):
    shape_a(ingest(server, "x", b"a 1.5\n"), 422, "unknown",
            '^strconv.Atoi: parsing "1.5": invalid syntax$')
    shape_b(ingest(server, "python.example", b"a 1\n"), 400, "invalid_argument",
            "failed to convert metadata: unknown profile type: example$")
    shape_b(ingest(server, "x{pyroscope_spy=y}", b"a 1\n"), 400, "invalid_argument",
            "has duplicate label name: 'pyroscope_spy'$")


def test_pprof_answers_422_with_its_prefixes(server):
    shape_a(ingest(server, "x", b"0123456789 is no profile", format="pprof"), 422, "unknown",
            "^parsing IngestInput-pprof failed invalid_argument: ")
    bad = profile({"a": (1,)}, time.time_ns(), types=(("alloc-space", "bytes"),))
    shape_a(ingest(server, "x", bad, format="pprof"), 422, "unknown",
            "^pushing IngestInput-pprof failed push series with index 0 and id  failed: "
            "invalid_argument: sample type contains -$")
    body, headers = form(profile=bad, prev_profile=b"x")
    shape_a(ingest(server, "x", body, headers=headers), 422, "unknown",
            "unsupported client version")


def test_formats_that_are_not_read_are_named_and_the_others_listed(server):
    for name in ("jfr", "trie", "tree", "speedscope"):
        shape_a(ingest(server, "x", b"?", format=name), 415, "unknown",
                f"^format '{name}' is not supported .* groups .* lines, and pprof")
    shape_a(ingest(server, "x", b"?", headers={"Content-Type": "binary/octet-stream+trie"},
                   format="jfr"), 415, "unknown", "^format 'trie'")


def test_a_body_over_the_limit_is_refused_in_json(start_server):
    server = start_server("--limits.ingest_body_bytes_max", "64KiB")
    shape_a(ingest(server, "x", b"a 1\n" * 40000), 413, "invalid_argument",
            "^request body too large: error reading request body bytes_read ")
