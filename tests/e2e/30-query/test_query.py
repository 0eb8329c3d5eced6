"""Every question, asked of a small store whose answers can be worked out by hand.

Pushed at 100 Hz, so that one sample is 10 ms of CPU:
  pod a at T:      main;parse 20, main;render;paint 70, main;render;layout 10
  pod b at T+10 s: main;parse 5, main;idle 1
  pod a at T+20 s: main;parse 1
"""
import gzip
import json
import urllib.parse

import pytest

T = 1_700_000_000
TICK = 10_000_000
CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
RANGE = {"start": str(T * 1000), "end": str((T + 60) * 1000)}
JSON = {"Content-Type": "application/json"}
PUSHES = (("a", T, b"main;parse 20\nmain;render;paint 70\nmain;render;layout 10\n"),
          ("b", T + 10, b"main;parse 5\nmain;idle 1\n"),
          ("a", T + 20, b"main;parse 1\n"))


def feed(server, headers=None):
    for pod, start, text in PUSHES:
        query = urllib.parse.urlencode({"name": "shop.cpu{pod=%s}" % pod, "format": "folded",
                                        "sampleRate": 100, "from": start, "until": start + 10})
        assert server.post(f"/ingest?{query}", text, headers=headers or {}).status == 200


@pytest.fixture
def fed(server):
    feed(server)
    return server


def ask_raw(server, method, message, **headers):
    return server.post(f"/querier.v1.QuerierService/{method}", json.dumps(message).encode(),
                       headers={**JSON, **headers})


def ask(server, method, message, **headers):
    reply = ask_raw(server, method, message, **headers)
    assert reply.status == 200, reply.text
    assert reply.headers["Content-Type"] == "application/json"
    return json.loads(reply.text)


def question(selector="{}", **more):
    return {**RANGE, "profileTypeID": CPU, "labelSelector": selector, **more}


def refused(server, method, message, status, code, text, **headers):
    reply = ask_raw(server, method, message, **headers)
    assert reply.status == status, reply.text
    error = json.loads(reply.text)
    assert error["code"] == code
    assert text in error["message"]


def self_values(graph):
    """{path: self} of a flame graph's levels (query-api: offset, total, self, name)."""
    found, parents = {}, [(0, "")]
    for level in graph["levels"]:
        here, x = [], 0
        values = [int(v) for v in level["values"]]
        for offset, total, own, name in zip(*[iter(values)] * 4):
            x += offset
            path = next(p for at, p in reversed(parents) if at <= x)
            path = f"{path};{graph['names'][name]}" if path else graph["names"][name]
            here.append((x, path))
            if own:
                found[path] = own
            x += total
        parents = here
    return found


def test_the_flame_graph_is_the_sum_of_what_was_pushed(fed):
    graph = ask(fed, "SelectMergeStacktraces", question())["flamegraph"]
    assert int(graph["total"]) == 107 * TICK
    assert int(graph["maxSelf"]) == 70 * TICK
    assert self_values(graph) == {"total;main;parse": 26 * TICK, "total;main;idle": TICK,
                                  "total;main;render;paint": 70 * TICK,
                                  "total;main;render;layout": 10 * TICK}


@pytest.mark.parametrize("selector,ticks", [
    ('{pod="a"}', 101), ('{pod!="a"}', 6), ('{pod=~"a|b"}', 107), ('{pod!~"a.*"}', 6),
    ('{service_name="shop",pod="b"}', 6), ('{pod=""}', 0), ('{nobody=""}', 107),
])
def test_matchers_select_series(fed, selector, ticks):
    graph = ask(fed, "SelectMergeStacktraces", question(selector))["flamegraph"]
    assert int(graph.get("total", 0)) == ticks * TICK


@pytest.mark.parametrize("start_ms,end_ms,ticks", [
    (T * 1000, T * 1000, 100), (T * 1000 + 1, T * 1000 + 9999, 0),
    (T * 1000 + 1, T * 1000 + 10000, 6), (0, T * 1000 - 1, 0), (0, 2 * T * 1000, 107),
])
def test_both_ends_of_the_range_count(fed, start_ms, end_ms, ticks):
    message = question(start=str(start_ms or 1), end=str(end_ms))
    graph = ask(fed, "SelectMergeStacktraces", message)["flamegraph"]
    assert int(graph.get("total", 0)) == ticks * TICK


def test_cut_nodes_become_other_and_the_total_stays(fed):
    graph = ask(fed, "SelectMergeStacktraces", question(maxNodes="3"))["flamegraph"]
    assert int(graph["total"]) == 107 * TICK
    values = self_values(graph)
    assert values == {"total;main;other": 27 * TICK, "total;main;render;paint": 70 * TICK,
                      "total;main;render;other": 10 * TICK}


def test_series_are_grouped_and_their_points_are_right_edges(fed):
    found = ask(fed, "SelectSeries", question(groupBy=["pod"], step=10))["series"]
    assert [(s["labels"], [(int(p["timestamp"]), p["value"]) for p in s["points"]])
            for s in found] == [
        ([{"name": "pod", "value": "a"}],
         [(T * 1000, 100 * TICK), ((T + 20) * 1000, TICK)]),
        ([{"name": "pod", "value": "b"}], [((T + 10) * 1000, 6 * TICK)]),
    ]


def test_one_series_without_groups_adds_up(fed):
    found = ask(fed, "SelectSeries", question(step=60))["series"]
    assert [[(int(p["timestamp"]), p["value"]) for p in s["points"]] for s in found] == [
        [(T * 1000, 100 * TICK), ((T + 60) * 1000, 7 * TICK)]]


def test_a_merged_profile_has_the_stacks_of_its_selection(fed):
    p = ask(fed, "SelectMergeProfile", question('{pod="b"}'))
    names = {f["id"]: p["stringTable"][int(f["name"])] for f in p["function"]}
    frames = {at["id"]: names[at["line"][0]["functionId"]] for at in p["location"]}
    assert {";".join(frames[i] for i in s["locationId"]): [int(v) for v in s["value"]]
            for s in p["sample"]} == {"parse;main": [5 * TICK], "idle;main": [TICK]}
    assert [p["stringTable"][int(x)] for x in p["sampleType"][0].values()] == ["cpu", "nanoseconds"]


def test_a_diff_has_both_sides(fed):
    graph = ask(fed, "Diff", {"left": question('{pod="a"}'),
                              "right": question('{pod="b"}')})["flamegraph"]
    assert int(graph["leftTicks"]) == 101 * TICK
    assert int(graph["rightTicks"]) == 6 * TICK
    assert int(graph["total"]) == 107 * TICK


def test_lists_of_types_labels_values_and_sets(fed):
    types = ask(fed, "ProfileTypes", RANGE)["profileTypes"]
    assert [t["ID"] for t in types] == [CPU]
    names = ask(fed, "LabelNames", {**RANGE, "matchers": ['{service_name="shop"}']})["names"]
    assert names == sorted(names) and {"pod", "service_name", "__profile_type__"} <= set(names)
    assert ask(fed, "LabelValues", {**RANGE, "name": "pod"})["names"] == ["a", "b"]
    sets = ask(fed, "Series", {**RANGE, "labelNames": ["pod"]})["labelsSet"]
    assert [s["labels"][0]["value"] for s in sets] == ["a", "b"]


def test_the_span_of_a_tenant(fed):
    assert ask(fed, "GetProfileStats", {}) == {
        "dataIngested": True, "oldestProfileTime": str(T * 1000),
        "newestProfileTime": str((T + 20) * 1000)}


def test_a_span_that_nobody_pushed_is_empty(fed):
    graph = ask(fed, "SelectMergeSpanProfile",
                question(spanSelector=["00000000000000aa"]))["flamegraph"]
    assert int(graph.get("total", 0)) == 0


def test_answers_are_compressed_for_clients_that_ask(fed):
    plain = ask_raw(fed, "SelectMergeStacktraces", question())
    packed = ask_raw(fed, "SelectMergeStacktraces", question(), **{"Accept-Encoding": "gzip"})
    body = packed.body
    if packed.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    assert body == plain.body


def test_what_is_not_built_says_so_and_what_nobody_knows_is_not_found(fed):
    refused(fed, "SelectHeatmap", RANGE, 501, "unimplemented", "SelectHeatmap")
    refused(fed, "SelectMergeStacktraces", question(format="PROFILE_FORMAT_DOT"), 501,
            "unimplemented", "DOT")
    assert ask_raw(fed, "NoSuchMethod", {}).status == 404
    assert fed.get("/nowhere").status == 404


@pytest.mark.parametrize("change,text", [
    ({"labelSelector": "{pod=}"}, "selector"), ({"labelSelector": '{pod=~"("}'}, ""),
    ({"profileTypeID": "cpu"}, "cpu"), ({"start": str((T + 61) * 1000)}, ""),
])
def test_a_wrong_question_is_an_invalid_argument(fed, change, text):
    refused(fed, "SelectMergeStacktraces", question(**change), 400, "invalid_argument", text)


def render(server, path, **query):
    reply = server.get(f"{path}?{urllib.parse.urlencode(query)}")
    assert reply.status == 200, reply.text
    return json.loads(reply.text)


def test_the_old_render_has_the_same_sums(fed):
    graph = render(fed, "/pyroscope/render", query=CPU + "{}", **{"from": T, "until": T + 60},
                   format="json")
    assert graph["flamebearer"]["numTicks"] == 107 * TICK
    assert sum(graph["timeline"]["samples"]) == 107 * TICK


def test_the_old_diff_has_both_sides(fed):
    graph = render(fed, "/pyroscope/render-diff", leftQuery=CPU + '{pod="a"}', leftFrom=T,
                   leftUntil=T + 60, rightQuery=CPU + '{pod="b"}', rightFrom=T, rightUntil=T + 60)
    assert (graph["leftTicks"], graph["rightTicks"]) == (101 * TICK, 6 * TICK)


def test_reads_may_name_several_tenants_and_see_no_other(start_server):
    server = start_server("--auth.multitenancy")
    feed(server, {"X-Scope-OrgID": "one"})
    feed(server, {"X-Scope-OrgID": "two"})
    for tenants, ticks in (("one", 107), ("one|two", 214), ("three", 0)):
        graph = ask(server, "SelectMergeStacktraces", question(),
                    **{"X-Scope-OrgID": tenants})["flamegraph"]
        assert int(graph.get("total", 0)) == ticks * TICK
    assert ask_raw(server, "SelectMergeStacktraces", question()).status == 401


def test_questions_below_a_base_path(start_server):
    server = start_server(base_path="/profiles")
    feed(server)
    graph = ask(server, "SelectMergeStacktraces", question())["flamegraph"]
    assert int(graph["total"]) == 107 * TICK


def test_a_restart_changes_no_answer(start_server, tmp_path):
    server = start_server(data=tmp_path / "kept")
    feed(server)
    before = ask_raw(server, "SelectMergeStacktraces", question()).body
    assert server.stop() == 0
    sealed = start_server(data=tmp_path / "kept")
    assert ask_raw(sealed, "SelectMergeStacktraces", question()).body == before
