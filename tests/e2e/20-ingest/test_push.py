"""push.v1 over HTTP: transport, codes, what is stored beside what is refused."""
import base64
import gzip
import json
import re
import time

import pytest
from pprof_wire import profile, push

PATH = "/push.v1.PusherService/Push"
PROTO = {"Content-Type": "application/proto"}
JSON = {"Content-Type": "application/json"}
LABELS = {"__name__": "process_cpu", "service_name": "shop"}


def now_ns():
    return time.time_ns()


def good(stack="main;work", value=5):
    return profile({stack: (value,)}, now_ns())


def total(server, service, tenant=None):
    """Sum of all cpu values of a service, as the query API tells it."""
    now = int(time.time() * 1000)
    reply = server.post("/querier.v1.QuerierService/SelectMergeStacktraces",
                        json.dumps({"profileTypeID":
                                    "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
                                    "labelSelector": '{service_name="%s"}' % service,
                                    "start": now - 3600000, "end": now + 3600000}).encode(),
                        headers={**JSON, **({"X-Scope-OrgID": tenant} if tenant else {})})
    assert reply.status == 200, reply.text
    return int(reply.text and json.loads(reply.text).get("flamegraph", {}).get("total", "0"))


def expect(reply, status, code, message):
    assert reply.status == status, reply.text
    assert reply.headers["Content-Type"] == "application/json"
    body = json.loads(reply.text)
    assert body["code"] == code
    assert re.search(message, body["message"]), body["message"]
    assert "X-Content-Type-Options" not in reply.headers
    assert not reply.text.endswith("\n")


def test_a_push_in_protobuf_is_there_for_the_next_query(server):
    reply = server.post(PATH, push((LABELS, good())), headers=PROTO)
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["Content-Type"] == "application/proto"
    assert total(server, "shop") == 5


def test_a_push_in_json_with_either_spelling(server):
    body = {"series": [{"labels": [{"name": k, "value": v} for k, v in LABELS.items()],
                        "samples": [{key: base64.b64encode(good()).decode()}]}
                       for key in ("rawProfile", "raw_profile")]}
    reply = server.post(PATH, json.dumps(body).encode(), headers=JSON)
    assert (reply.status, reply.body) == (200, b"{}")
    assert reply.headers["Content-Type"] == "application/json"
    assert total(server, "shop") == 10


def test_gzip_outside_inside_and_both(server):
    inner = push((LABELS, gzip.compress(good())))
    for body, headers in ((inner, PROTO),
                          (gzip.compress(inner), {**PROTO, "Content-Encoding": "gzip"}),
                          (gzip.compress(push((LABELS, good()))),
                           {**PROTO, "Content-Encoding": "gzip"})):
        assert server.post(PATH, body, headers=headers).status == 200
    assert total(server, "shop") == 15


def test_other_methods_and_types_are_refused_as_connect_does(server):
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        reply = server.request(method, PATH, headers=JSON)
        assert (reply.status, reply.body, reply.headers["Allow"]) == (405, b"", "POST")
    for kind in ("text/plain", "application/x-protobuf", "application/json; charset=latin1"):
        reply = server.post(PATH, b"{}", headers={"Content-Type": kind})
        assert (reply.status, reply.body) == (415, b"")
        assert "application/proto" in reply.headers["Accept-Post"]


def test_transport_errors_have_codes_and_texts(server):
    def post(body, **headers):
        return server.post(PATH, body, headers={k.replace("_", "-"): v
                                                for k, v in {**JSON_, **headers}.items()})

    JSON_ = {"Content_Type": "application/json"}
    expect(post(b"{}", Content_Encoding="zstd"), 501, "unimplemented",
           '^unknown compression "zstd": supported encodings are gzip$')
    expect(post(b"{}", Connect_Protocol_Version="2"), 400, "invalid_argument",
           '^Connect-Protocol-Version must be "1": got "2"$')
    expect(post(b"{}", Connect_Timeout_Ms="1.5"), 400, "invalid_argument", "^parse timeout: ")
    expect(post(b"{}", Connect_Timeout_Ms="12345678901"), 400, "invalid_argument",
           "^parse timeout: ")
    expect(post(b"{}", Connect_Timeout_Ms="-1"), 504, "deadline_exceeded", "deadline")
    expect(post(b"x", Content_Encoding="gzip"), 400, "invalid_argument", "^get decompressor: ")
    expect(post(gzip.compress(b"{}")[:-3], Content_Encoding="gzip"), 400, "invalid_argument",
           "^decompress: ")
    expect(post(b""), 400, "invalid_argument",
           "^unmarshal message: zero-length payload is not a valid JSON object$")
    for bad in (b"null", b"[]", b"{", b'{"series":[],"series":[]}', b'{"series":1}'):
        expect(post(bad), 400, "invalid_argument", "^unmarshal message: ")
    expect(server.post(PATH, b"\xff\xff", headers=PROTO), 400, "invalid_argument",
           "^unmarshal message: ")
    for nothing in (b"{}", b'{"series":[]}', b'{"x":1,"series":[{}]}'):
        expect(post(nothing), 400, "invalid_argument", "^no profiles received$")


def test_good_series_are_stored_beside_bad_ones_and_the_first_refusal_is_told(server):
    bad = {"service_name": "other"}
    reply = server.post(PATH, push((LABELS, good(), b"this is no profile"), (bad, good()),
                                   (LABELS, good())), headers=PROTO)
    expect(reply, 400, "invalid_argument", "^pprof: ")
    assert total(server, "shop") == 10
    assert total(server, "other") == 0


def test_a_refused_profile_is_counted_and_logged_with_its_numbers(server):
    labels = {**LABELS, **{f"l{i:02}": "v" for i in range(80)}}
    expect(server.post(PATH, push((labels, good())), headers=PROTO), 400, "invalid_argument",
           "has 82 label names; limit 64$")
    assert re.search(r'flamekeep_discarded_profiles_total\{reason="max_label_names_per_series"\} 1',
                     server.get("/metrics").text)
    line = re.search(r'.*msg="profile refused".*', server.log()).group(0)
    for part in ("tenant=anonymous", "service=shop", "reason=max_label_names_per_series",
                 "value=82", "limit=64"):
        assert part in line


def test_a_compression_bomb_costs_what_it_is_allowed_to(server):
    bomb = gzip.compress(gzip.compress(b"\0" * (256 << 20), 9), 9)
    cpu = cpu_seconds(server)
    expect(server.post(PATH, push((LABELS, gzip.compress(b"\0" * (200 << 20), 9))), headers=PROTO),
           400, "invalid_argument", "^uncompressed profile payload size exceeds limit of 67 MB$")
    assert server.post(PATH, bomb, headers={**PROTO, "Content-Encoding": "gzip"}).status == 400
    expect(server.post(PATH, gzip.compress(b" " * (200 << 20), 9),
                       headers={**JSON, "Content-Encoding": "gzip"}), 400, "invalid_argument",
           "^message size 209715200 is larger than configured max 67108864$")
    assert cpu_seconds(server) - cpu < 3
    assert peak_rss(server) < (512 << 20 if is_sanitized(server) else 192 << 20)


def test_deeply_nested_json_is_refused_at_once(server):
    cpu = cpu_seconds(server)
    expect(server.post(PATH, b'{"series":' + b"[" * (8 << 20), headers=JSON), 400,
           "invalid_argument", "^unmarshal message: JSON nested deeper than 64")
    assert cpu_seconds(server) - cpu < 1


@pytest.mark.parametrize("tenant,status,message", [
    (None, 401, "no org id"),
    ("", 401, "no org id"),
    ("a b", 401, "tenant ID 'a b' contains unsupported character ' '"),
    ("a/../b", 401, "unsupported character '/'"),
    ("..", 401, "tenant ID is '.' or '..'"),
    ("x" * 151, 401, "tenant ID is too long: max 150 characters"),
    ("a|b", 401, "multiple org IDs present"),
    ("a|a", 200, None),
    ("a:k=v", 200, None),
])
def test_tenants_of_a_push(start_server, tenant, status, message):
    server = start_server("--auth.multitenancy")
    headers = {**PROTO, **({} if tenant is None else {"X-Scope-OrgID": tenant})}
    reply = server.post(PATH, push((LABELS, good())), headers=headers)
    assert reply.status == status, reply.text
    if message:
        assert json.loads(reply.text)["code"] == "unauthenticated"
        assert message in json.loads(reply.text)["message"]
    else:
        assert total(server, "shop", tenant="a") == 5
        assert total(server, "shop", tenant="b") == 0


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def peak_rss(server):
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) * 1024


def is_sanitized(server):
    with open(f"/proc/{server.process.pid}/maps", encoding="utf-8") as f:
        return "libasan" in f.read() or "libtsan" in f.read()


def test_rpcs_that_are_not_built_say_so_and_unknown_ones_are_not_found(server):
    for method in ("querier.v1.QuerierService/SelectHeatmap", "settings.v1.SettingsService/Get",
                   "adhocprofiles.v1.AdHocProfileService/Upload"):
        expect(server.post("/" + method, b"{}", headers=JSON), 501, "unimplemented",
               f"^{method} is not built yet$")
    reply = server.post("/querier.v1.QuerierService/Nope", b"{}", headers=JSON)
    assert (reply.status, reply.text) == (404, "404 page not found\n")


def test_answers_are_compressed_for_clients_that_ask(server):
    stacks = {f"main;function_{i:04}_with_a_long_name": (i + 1,) for i in range(200)}
    assert server.post(PATH, push((LABELS, profile(stacks, now_ns()))), headers=PROTO).status == 200
    now = int(time.time() * 1000)
    body = json.dumps({"profileTypeID": "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
                       "labelSelector": "{}", "start": now - 60000, "end": now + 60000}).encode()
    path = "/querier.v1.QuerierService/SelectMergeStacktraces"
    plain = server.post(path, body, headers=JSON)
    packed = server.post(path, body, headers={**JSON, "Accept-Encoding": "gzip"})
    assert plain.headers["Content-Encoding"] is None
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    sent_packed = server.post(path, gzip.compress(body),
                              headers={**JSON, "Content-Encoding": "gzip"})
    assert gzip.decompress(sent_packed.body) == plain.body
