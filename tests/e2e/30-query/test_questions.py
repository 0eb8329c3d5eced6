"""Every question in both encodings with whole answers, on what test_query.py pushes."""
import gzip
import json
import time
import urllib.parse

import pytest
from pprof_wire import profile, push
from question_wire import MESSAGES, PPROF, decode, encode, pprof_stacks, tree_stacks
from test_query import (CPU, RANGE, T, TICK, ask, ask_raw, feed, fed, question,  # noqa: F401
                        refused, render)

PROTO = {"Content-Type": "application/proto"}
PUSH = "/push.v1.PusherService/Push"
TYPE = {"ID": CPU, "name": "process_cpu", "sampleType": "cpu", "sampleUnit": "nanoseconds",
        "periodType": "cpu", "periodUnit": "nanoseconds"}
NAMES = ["__name__", "__period_type__", "__period_unit__", "__profile_type__", "__service_name__",
         "__type__", "__unit__", "pod", "pyroscope_spy", "service_name"]
A, B, BOTH = 101 * TICK, 6 * TICK, 107 * TICK
STACKS = {"main;parse": 26 * TICK, "main;idle": TICK, "main;render;paint": 70 * TICK,
          "main;render;layout": 10 * TICK}
# Children by falling name of what comes below: the order of query-api.md, section 6.2.
GRAPH = {"names": ["total", "main", "render", "paint", "layout", "parse", "idle"],
         "levels": [[0, BOTH, 0, 0], [0, BOTH, 0, 1],
                    [0, TICK, TICK, 6, 0, 26 * TICK, 26 * TICK, 5, 0, 80 * TICK, 0, 2],
                    [27 * TICK, 10 * TICK, 10 * TICK, 4, 0, 70 * TICK, 70 * TICK, 3]],
         "total": BOTH, "maxSelf": 70 * TICK}
DIFF = {"names": GRAPH["names"],
        "levels": [[0, A, 0, 0, B, 0, 0], [0, A, 0, 0, B, 0, 1],
                   [0, 0, 0, 0, TICK, TICK, 6,
                    0, 21 * TICK, 21 * TICK, 0, 5 * TICK, 5 * TICK, 5,
                    0, 80 * TICK, 0, 0, 0, 0, 2],
                   [21 * TICK, 10 * TICK, 10 * TICK, B, 0, 0, 4,
                    0, 70 * TICK, 70 * TICK, 0, 0, 0, 3]],
        "total": BOTH, "maxSelf": 70 * TICK, "leftTicks": A, "rightTicks": B}


def plain(graph):
    """A graph of either encoding with its numbers as numbers."""
    out = {k: int(v) for k, v in graph.items() if k not in ("names", "levels")}
    return {**out, "names": graph["names"],
            "levels": [[int(v) for v in level["values"]] for level in graph["levels"]]}


def ask_proto_raw(server, method, message, **headers):
    body = encode(MESSAGES[method][0], message)
    return server.post(f"/querier.v1.QuerierService/{method}", body, headers={**PROTO, **headers})


def ask_proto(server, method, message, **headers):
    reply = ask_proto_raw(server, method, message, **headers)
    assert reply.status == 200, reply.text
    assert reply.headers["Content-Type"] == "application/proto"
    return decode(MESSAGES[method][1], reply.body)


ASK = pytest.mark.parametrize("ask_it", [ask, ask_proto], ids=["json", "protobuf"])


def labels_of(series):
    return {pair["name"]: pair["value"] for pair in series.get("labels", [])}


def points_of(found):
    return [(labels_of(s), [(int(p["timestamp"]), p["value"]) for p in s["points"]]) for s in found]


# --- lists ---


@ASK
def test_profile_types_of_a_range(fed, ask_it):
    assert ask_it(fed, "ProfileTypes", RANGE) == {"profileTypes": [TYPE]}
    before = {"start": str((T - 60) * 1000), "end": str(T * 1000 - 1)}
    assert ask_it(fed, "ProfileTypes", before) == {}


@ASK
def test_profile_types_without_a_range_are_those_of_the_last_hour(fed, ask_it):
    assert ask_it(fed, "ProfileTypes", {}) == {}
    assert fed.post(f"/ingest?name=now.cpu&format=folded&from={int(time.time()) - 10}",
                    b"main 1\n").status == 200
    assert ask_it(fed, "ProfileTypes", {}) == {"profileTypes": [TYPE]}


@ASK
def test_label_names_and_what_matchers_leave_of_them(fed, ask_it):
    for matchers, names in (([], NAMES), (['{service_name="shop"}'], NAMES), (['{pod="zz"}'], []),
                            (['{pod="a"}', '{pod="b"}'], [])):
        assert ask_it(fed, "LabelNames", {**RANGE, "matchers": matchers}) == (
            {"names": names} if names else {})


@ASK
def test_label_values_and_what_matchers_leave_of_them(fed, ask_it):
    for name, matchers, values in (("pod", [], ["a", "b"]), ("pod", ['{pod!="a"}'], ["b"]),
                                   ("__profile_type__", [], [CPU]), ("nobody", [], []),
                                   ("service_name", [], ["shop"])):
        assert ask_it(fed, "LabelValues", {**RANGE, "name": name, "matchers": matchers}) == (
            {"names": values} if values else {})


@ASK
def test_series_with_all_labels_and_with_some(fed, ask_it):
    whole = ask_it(fed, "Series", RANGE)["labelsSet"]
    fixed = {"__name__": "process_cpu", "__period_type__": "cpu",
             "__period_unit__": "nanoseconds", "__profile_type__": CPU, "__service_name__": "shop",
             "__type__": "cpu", "__unit__": "nanoseconds", "pyroscope_spy": "unknown",
             "service_name": "shop"}
    assert [labels_of(s) for s in whole] == [{**fixed, "pod": "a"}, {**fixed, "pod": "b"}]
    some = ask_it(fed, "Series", {**RANGE, "labelNames": ["pod", "nobody"]})["labelsSet"]
    assert [labels_of(s) for s in some] == [{"pod": "a"}, {"pod": "b"}]
    assert ask_it(fed, "Series", {**RANGE, "labelNames": ["nobody"]}) == {}
    one = ask_it(fed, "Series", {**RANGE, "labelNames": ["service_name"],
                                 "matchers": ['{pod="b"}']})["labelsSet"]
    assert [labels_of(s) for s in one] == [{"service_name": "shop"}]


def test_names_beyond_ascii_are_for_clients_that_ask_for_them(server):
    body = push(({"__name__": "process_cpu", "service_name": "shop", "größe": "XL"},
                 profile({"main": (1,)}, T * 10**9)))
    reply = server.post(PUSH, body, headers=PROTO)
    assert reply.status == 200, reply.text
    knowing = {"Accept": "*/*;allow-utf8-labelnames=true"}
    assert "größe" not in ask(server, "LabelNames", RANGE)["names"]
    assert "größe" in ask(server, "LabelNames", RANGE, **knowing)["names"]
    asked = {**RANGE, "labelNames": ["größe"]}
    assert ask(server, "Series", asked) == {}
    assert [labels_of(s) for s in ask(server, "Series", asked, **knowing)["labelsSet"]] == [
        {"größe": "XL"}]


@ASK
def test_stats_of_an_empty_and_of_a_fed_tenant(server, ask_it):
    assert ask_it(server, "GetProfileStats", {}) == {}
    feed(server)
    assert {k: int(v) for k, v in ask_it(server, "GetProfileStats", {}).items()} == {
        "dataIngested": 1, "oldestProfileTime": T * 1000, "newestProfileTime": (T + 20) * 1000}


# --- trees ---


@ASK
def test_a_flame_graph_to_the_last_number(fed, ask_it):
    assert plain(ask_it(fed, "SelectMergeStacktraces", question())["flamegraph"]) == GRAPH


@ASK
def test_a_flame_graph_of_nothing_is_one_empty_box(fed, ask_it):
    for method in ("SelectMergeStacktraces", "SelectMergeSpanProfile"):
        graph = ask_it(fed, method, question('{pod="zz"}'))["flamegraph"]
        assert plain(graph) == {"names": ["total"], "levels": [[0, 0, 0, 0]]}


def test_tree_bytes_hold_every_stack(fed):
    answer = ask_proto(fed, "SelectMergeStacktraces", question(format=2))
    assert list(answer) == ["tree"]
    assert tree_stacks(answer["tree"]) == STACKS
    nothing = ask_proto(fed, "SelectMergeStacktraces", question('{pod="zz"}', format=2))
    assert nothing.get("tree", b"") == b""


def test_the_pprof_format_holds_every_stack(fed):
    inner = ask_proto(fed, "SelectMergeStacktraces", question(format=4))["pprof"]["profile"]
    assert pprof_stacks(decode(PPROF, inner)) == {k: [v] for k, v in STACKS.items()}
    told = ask(fed, "SelectMergeStacktraces", question(format="PROFILE_FORMAT_PPROF"))
    assert pprof_stacks(told["pprof"]["profile"]) == {k: [v] for k, v in STACKS.items()}


@ASK
def test_a_merged_profile_to_the_last_number(fed, ask_it):
    p = ask_it(fed, "SelectMergeProfile", question('{pod="b"}'))
    assert pprof_stacks(p) == {"main;parse": [5 * TICK], "main;idle": [TICK]}
    kind = [p["stringTable"][int(p["sampleType"][0][k])] for k in ("type", "unit")]
    assert (kind, len(p["sampleType"])) == (["cpu", "nanoseconds"], 1)
    assert int(p["timeNanos"]) == (T + 60) * 10**9
    assert p["stringTable"][int(p["defaultSampleType"])] == "cpu"
    assert ask_it(fed, "SelectMergeProfile", question('{pod="zz"}')) == {}


def spans(server):
    """Samples of two spans, and one sample of none."""
    def one(stack, value, *labels):
        return profile({stack: (value,)}, T * 10**9, labels=labels)

    body = push(({"__name__": "process_cpu", "service_name": "shop"},
                 one("main;one", 5, ("span_id", "00000000000000aa")),
                 one("main;two", 7, ("span_id", "00000000000000bb")), one("main;one", 11)))
    assert server.post(PUSH, body, headers=PROTO).status == 200


@ASK
def test_spans_are_told_apart(server, ask_it):
    spans(server)
    for method in ("SelectMergeSpanProfile", "SelectMergeStacktraces"):
        for wanted, stacks in ((["00000000000000aa"], [5, "one"]),
                               (["00000000000000BB"], [7, "two"]),
                               (["00000000000000cc"], None)):
            graph = plain(ask_it(server, method, question(spanSelector=wanted))["flamegraph"])
            assert graph.get("total", 0) == (stacks[0] if stacks else 0)
            assert graph["names"] == ["total", "main", stacks[1]] if stacks else ["total"]
        both = ["00000000000000aa", "00000000000000bb"]
        graph = ask_it(server, method, question(spanSelector=both))["flamegraph"]
        assert int(graph["total"]) == 12
        assert int(ask_it(server, method, question())["flamegraph"]["total"]) == 23


@ASK
def test_a_diff_to_the_last_number(fed, ask_it):
    sides = {"left": question('{pod="a"}'), "right": question('{pod="b"}')}
    assert plain(ask_it(fed, "Diff", sides)["flamegraph"]) == DIFF


# --- series ---


@ASK
def test_series_of_each_pod_and_the_limit(fed, ask_it):
    each = [({"pod": "a"}, [(T * 1000, 100 * TICK), ((T + 20) * 1000, TICK)]),
            ({"pod": "b"}, [((T + 10) * 1000, 6 * TICK)])]
    asked = question(groupBy=["pod"], step=10)
    assert points_of(ask_it(fed, "SelectSeries", asked)["series"]) == each
    assert points_of(ask_it(fed, "SelectSeries", {**asked, "limit": "1"})["series"]) == each[:1]
    one = ask_it(fed, "SelectSeries", question(groupBy=["nobody"], step=60))["series"]
    assert points_of(one) == [({}, [(T * 1000, 100 * TICK), ((T + 60) * 1000, 7 * TICK)])]
    assert ask_it(fed, "SelectSeries", question('{pod="zz"}', step=10)) == {}


# --- the old GETs ---


def test_the_old_render_to_the_last_number(fed):
    line = {"startTime": T - 5, "durationDelta": 15, "watermarks": None}
    asked = {"query": CPU + "{}", "from": T, "until": T + 60}
    assert render(fed, "/pyroscope/render", **asked) == {
        "version": 1,
        "flamebearer": {"names": GRAPH["names"], "levels": GRAPH["levels"], "numTicks": BOTH,
                        "maxSelf": 70 * TICK},
        "metadata": {"format": "single", "spyName": "", "sampleRate": 1000000000,
                     "units": "samples", "name": "cpu"},
        "timeline": {**line, "samples": [100 * TICK, 6 * TICK, TICK, 0]},
        "groups": None, "heatmap": None}
    grouped = render(fed, "/pyroscope/render", groupBy="pod", **asked)
    assert grouped["groups"] == {"a": {**line, "samples": [100 * TICK, 0, TICK, 0]},
                                 "b": {**line, "samples": [0, 6 * TICK, 0, 0]}}
    for spelling in ("max-nodes", "maxNodes"):
        cut = render(fed, "/pyroscope/render", **asked, **{spelling: 3})["flamebearer"]
        assert cut["numTicks"] == BOTH
        assert cut["names"] == ["total", "main", "other", "render", "paint"]


def test_the_old_diff_to_the_last_number(fed):
    asked = {"leftQuery": CPU + '{pod="a"}', "leftFrom": T, "leftUntil": T + 60,
             "rightQuery": CPU + '{pod="b"}', "rightFrom": T, "rightUntil": T + 60}
    graph = render(fed, "/pyroscope/render-diff", **asked)
    assert graph["flamebearer"] == {"names": DIFF["names"], "levels": DIFF["levels"],
                                    "numTicks": BOTH, "maxSelf": 70 * TICK}
    assert (graph["leftTicks"], graph["rightTicks"]) == (A, B)
    assert graph["metadata"]["format"] == "double"
    assert (graph["timeline"], graph["groups"], graph["heatmap"]) == (None, None, None)


def test_the_old_list_of_types_is_of_the_last_hour(server):
    path = "/pyroscope/label-values?label=__name__"
    assert (server.get(path).status, server.get(path).text) == (200, "null\n")
    assert server.post(f"/ingest?name=now.cpu&format=folded&from={int(time.time()) - 10}",
                       b"main 1\n").status == 200
    assert server.get(path).text == f'["{CPU}"]\n'


@pytest.mark.parametrize("path,status,code,message", [
    ("render", 400, "invalid_argument", '"query" is required'),
    ("render?query={}", 400, "invalid_argument",
     '"query" must contain a profile-type selection'),
    ("render?query=cpu{}", 400, "invalid_argument", 'failed to parse "query"'),
    (f"render?query={CPU}{{}}&from={T + 1}&until={T}", 400, "invalid_argument",
     "query start time is after end time"),
    (f"render?query={CPU}{{}}&from={T}&until={T + 1}&format=dot", 501, "unimplemented",
     "format=dot is not implemented"),
    ("render-diff", 400, "invalid_argument", '"leftQuery" is required'),
    (f"render-diff?leftQuery={CPU}{{}}", 400, "invalid_argument", '"rightQuery" is required'),
    (f"render-diff?leftQuery={CPU}{{}}&rightQuery=a:b:c:d:e{{}}", 400, "invalid_argument",
     "profile types must match"),
    ("label-values", 400, "invalid_argument", "label parameter is required"),
    ("label-values?label=pod", 400, "invalid_argument", "missing time range in the query"),
])
def test_errors_of_the_old_gets(server, path, status, code, message):
    reply = server.get("/pyroscope/" + urllib.parse.quote(path, safe="/?=&"))
    assert (reply.status, reply.headers["Content-Type"]) == (status, "application/json")
    assert json.loads(reply.text) == {"code": code, "message": message}


# --- refusals ---


TIMED = sorted(set(MESSAGES) - {"GetProfileStats", "ProfileTypes", "Diff"})


@pytest.mark.parametrize("method", TIMED)
def test_a_range_is_needed_and_runs_forwards(server, method):
    refused(server, method, {}, 400, "invalid_argument", "missing time range in the query")
    refused(server, method, {"start": "2", "end": "1"}, 400, "invalid_argument",
            "query start time is after end time")


@pytest.mark.parametrize("method", sorted(MESSAGES))
def test_every_question_refuses_what_is_no_message(server, method):
    path = f"/querier.v1.QuerierService/{method}"
    for kind, body in (("json", b"["), ("json", b""), ("json", b"[]"), ("proto", b"\x0a\x7f"),
                       ("proto", b"\xff" * 11)):
        reply = server.post(path, body, headers={"Content-Type": f"application/{kind}"})
        assert reply.status == 400, (kind, body, reply.text)
        assert reply.headers["Content-Type"] == "application/json"
        error = json.loads(reply.text)
        assert error["code"] == "invalid_argument"
        assert error["message"].startswith("unmarshal message: ")
    reply = server.get(path)
    assert (reply.status, reply.headers["Allow"], reply.body) == (405, "POST", b"")
    reply = server.post(path, b"{}", headers={"Content-Type": "text/plain"})
    assert (reply.status, reply.body) == (415, b"")


@pytest.mark.parametrize("method,change,text", [
    ("SelectSeries", {"step": 0}, "step must be >= 1ms"),
    ("SelectSeries", {"step": 1, "exemplarType": "EXEMPLAR_TYPE_SPAN"},
     "exemplar type span is not implemented"),
    ("LabelValues", {"name": ""}, "name is required"),
    ("SelectMergeSpanProfile", {"spanSelector": ["zz"]}, '"zz" is no span id'),
    ("SelectMergeStacktraces", {"traceIdSelector": ["zz"]}, '"zz" is no trace id'),
    ("SelectMergeStacktraces", {"spanSelector": ["a" * 16], "traceIdSelector": ["a" * 32]},
     "span_selector and trace_id_selector cannot be combined"),
    ("SelectMergeStacktraces", {"maxNodes": "-1"}, "max flamegraph nodes limit must be set"),
    ("Diff", {"left": question(), "right": question("{")}, "parsing label selector"),
])
def test_wrong_values_are_named(server, method, change, text):
    refused(server, method, {**question(), **change}, 400, "invalid_argument", text)


@pytest.mark.parametrize("method,change,text", [
    ("SelectMergeStacktraces", {"format": "PROFILE_FORMAT_DOT"}, "the DOT format"),
    ("SelectMergeStacktraces", {"profileIdSelector": ["x"]}, "profile_id_selector"),
    ("SelectMergeStacktraces", {"stackTraceSelector": {"callSite": [{"name": "main"}]}},
     "stack_trace_selector"),
    ("SelectMergeProfile", {"profileIdSelector": ["x"]}, "profile_id_selector"),
    ("SelectMergeProfile", {"stackTraceSelector": {"goPgo": {}}}, "stack_trace_selector"),
    ("SelectSeries", {"step": 1, "exemplarType": "EXEMPLAR_TYPE_INDIVIDUAL"},
     "exemplar type individual"),
    ("Diff", {"left": question(format="PROFILE_FORMAT_DOT"), "right": question()},
     "the DOT format"),
])
def test_what_is_known_and_not_built_is_unimplemented(server, method, change, text):
    refused(server, method, {**question(), **change}, 501, "unimplemented",
            f"{text} is not implemented")


@pytest.mark.parametrize("path", [
    "querier.v1.QuerierService/SelectHeatmap", "querier.v1.QuerierService/AnalyzeQuery",
    "settings.v1.SettingsService/Get", "adhocprofiles.v1.AdHocProfileService/Upload",
    "capabilities.v1.FeatureFlagsService/GetFeatureFlags", "vcs.v1.VCSService/GithubApp",
    "debuginfo.v1alpha1.DebuginfoService/ListDebuginfo"])
def test_services_that_are_not_built_say_so(server, path):
    reply = server.post(f"/{path}", b"{}", headers={"Content-Type": "application/json"})
    assert reply.status == 501
    assert json.loads(reply.text) == {"code": "unimplemented",
                                      "message": f"{path} is not built yet"}


@pytest.mark.parametrize("path", [
    "/querier.v1.QuerierService/Nope", "/querier.v1.QuerierService", "/querier.v1/ProfileTypes",
    "/pyroscope/renders", "/pyroscope", "/ingests", "/querier.v1.QuerierService/ProfileTypes/"])
def test_paths_that_nobody_registered_are_not_found(server, path):
    for reply in (server.get(path), server.post(path, b"{}")):
        assert (reply.status, reply.text) == (404, "404 page not found\n")


# --- transport ---


@pytest.mark.parametrize("kind", ["application/json", "application/proto"])
def test_a_large_answer_is_compressed_for_those_who_accept_it(server, kind):
    stacks = "".join(f"main;function_number_{i} {i + 1}\n" for i in range(200)).encode()
    assert server.post(f"/ingest?name=shop.cpu&format=folded&from={T}&until={T + 10}",
                       stacks).status == 200
    asked = question()
    body = json.dumps(asked).encode() if kind.endswith("json") else \
        encode(MESSAGES["SelectMergeStacktraces"][0], asked)
    path = "/querier.v1.QuerierService/SelectMergeStacktraces"
    whole = server.post(path, body, headers={"Content-Type": kind})
    packed = server.post(path, body, headers={"Content-Type": kind, "Accept-Encoding": "gzip"})
    asked_packed = server.post(path, gzip.compress(body),
                               headers={"Content-Type": kind, "Content-Encoding": "gzip"})
    assert whole.headers["Content-Encoding"] is None
    for reply in (packed, asked_packed):
        assert reply.headers["Content-Encoding"] == "gzip"
        assert len(reply.body) < len(whole.body)
        assert gzip.decompress(reply.body) == whole.body


def test_the_old_gets_are_compressed_too(server):
    stacks = "".join(f"main;function_number_{i} {i + 1}\n" for i in range(200)).encode()
    assert server.post(f"/ingest?name=shop.cpu&format=folded&from={T}&until={T + 10}",
                       stacks).status == 200
    path = "/pyroscope/render?" + urllib.parse.urlencode({"query": CPU + "{}", "from": T,
                                                          "until": T + 60})
    whole, packed = server.get(path), server.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == whole.body


@ASK
def test_tenants_read_together_are_one_and_alone_are_apart(start_server, ask_it):
    server = start_server("--auth.multitenancy")
    feed(server, {"X-Scope-OrgID": "one"})
    assert server.post(f"/ingest?name=other.cpu&format=folded&from={T}&until={T + 10}", b"main 3\n",
                       headers={"X-Scope-OrgID": "two"}).status == 200

    def values(tenants):
        return ask_it(server, "LabelValues", {**RANGE, "name": "service_name"},
                      **{"X-Scope-OrgID": tenants}).get("names", [])

    def total(tenants):
        graph = ask_it(server, "SelectMergeStacktraces", question(), **{"X-Scope-OrgID": tenants})
        return int(graph["flamegraph"].get("total", 0))

    assert [values(t) for t in ("one", "two", "two|one", "one|one", "three")] == [
        ["shop"], ["other"], ["other", "shop"], ["shop"], []]
    other = total("two")
    assert other > 0
    assert [total(t) for t in ("one", "one|two", "one|one", "three|one", "three")] == [
        BOTH, BOTH + other, BOTH, BOTH, 0]
    # A span of time is one tenant's.
    refused(server, "GetProfileStats", {}, 400, "invalid_argument", "expected 1 tenant, got 2",
            **{"X-Scope-OrgID": "one|two"})


@pytest.mark.parametrize("tenant,text", [
    (None, "no org id"), ("", "no org id"), ("a/b", "unsupported character '/'"),
    ("..", "tenant ID is '.' or '..'"), ("one|..", "tenant ID is '.' or '..'"),
    ("x" * 151, "tenant ID is too long: max 150 characters")])
def test_a_wrong_tenant_reads_nothing(start_server, tenant, text):
    server = start_server("--auth.multitenancy")
    headers = {} if tenant is None else {"X-Scope-OrgID": tenant}
    refused(server, "ProfileTypes", RANGE, 401, "unauthenticated", text, **headers)
    old = server.get("/pyroscope/label-values?label=__name__", headers=headers)
    assert old.status == (401 if text == "no org id" else 400)
    assert text in json.loads(old.text)["message"]


def test_every_way_to_ask_works_below_a_base_path_and_only_there(start_server):
    server = start_server(base_path="/profiles")
    feed(server)
    assert plain(ask_proto(server, "SelectMergeStacktraces", question())["flamegraph"]) == GRAPH
    asked = {"query": CPU + "{}", "from": T, "until": T + 60}
    assert render(server, "/pyroscope/render", **asked)["flamebearer"]["numTicks"] == BOTH
    assert server.get("/pyroscope/label-values?label=__name__").text == "null\n"
    server.base_path = ""
    assert ask_raw(server, "ProfileTypes", RANGE).status == 404
    assert server.get("/pyroscope/label-values?label=__name__").status == 404


@ASK
def test_a_sealed_store_answers_as_a_fresh_one(start_server, tmp_path, ask_it):
    server = start_server(data=tmp_path / "kept")
    feed(server)
    assert server.stop() == 0
    sealed = start_server(data=tmp_path / "kept")
    assert plain(ask_it(sealed, "SelectMergeStacktraces", question())["flamegraph"]) == GRAPH
    sides = {"left": question('{pod="a"}'), "right": question('{pod="b"}')}
    assert plain(ask_it(sealed, "Diff", sides)["flamegraph"]) == DIFF
    assert ask_it(sealed, "LabelNames", RANGE) == {"names": NAMES}
