"""The program as an operator meets it: commands, options, exit codes, messages."""
import json
import re
import subprocess

import pytest

from conftest import clean_env, server_binary


def run(*args, env=None, timeout=30):
    return subprocess.run([server_binary(), *args], env=dict(clean_env(), **(env or {})),
                          capture_output=True, text=True, timeout=timeout, check=False)


def test_help_goes_to_standard_output():
    for word in ("help", "--help", "-h"):
        r = run(word)
        assert r.returncode == 0 and not r.stderr
        for expected in ("serve", "healthcheck", "verify", "rebuild-catalog", "config print",
                         "--wal.sync", "--limits default|reference-sizes|reference"):
            assert expected in r.stdout
    assert run("serve", "--help").returncode == 0


def test_version_names_the_libraries_in_use():
    r = run("version")
    assert r.returncode == 0
    assert re.match(r"flamekeep \d+\.\d+\.\d+ \(", r.stdout)
    assert "libmicrohttpd " in r.stdout


@pytest.mark.parametrize("args,code,says", [
    ((), 2, "usage:"),
    (("sevre",), 2, "did you mean 'serve'?"),
    (("config",), 2, "second word"),
    (("serve", "--listne", ":1"), 2, "did you mean --listen?"),
    (("serve", "--wal.sync=never"), 2, "group|interval"),
    (("serve", "extra"), 2, "unexpected argument"),
    (("serve", "--config", "/nowhere.yaml"), 78, "/nowhere.yaml"),
    (("serve", "--base-path", "x"), 78, "begin with a slash"),
    (("config", "check", "--limits.nodes_default=9999999"), 78, "limits.nodes_max"),
])
def test_mistakes_are_named_with_the_right_exit_code(args, code, says):
    r = run(*args)
    assert (r.returncode, says in r.stderr) == (code, True), r.stderr
    assert not r.stdout


def test_environment_mistakes_are_exit_78():
    r = run("config", "check", env={"FLAMEKEEP_WAL_SNYC": "group"})
    assert r.returncode == 78 and "FLAMEKEEP_WAL_SYNC" in r.stderr
    r = run("config", "check", env={"FLAMEKEEP_PORT": "tcp://10.0.0.1:4040",
                                    "FLAMEKEEP_SERVICE_HOST": "10.0.0.1"})
    assert r.returncode == 0


def test_config_print_can_be_read_back(tmp_path):
    first = run("config", "print", "--wal.window=5ms", "--limits", "reference")
    assert first.returncode == 0
    assert "wal.window: 5ms # command line" in first.stdout
    path = tmp_path / "flamekeep.yaml"
    path.write_text(first.stdout, encoding="utf-8")
    second = run("config", "print", "--config", str(path))
    assert second.returncode == 0, second.stderr

    def strip(text):
        return [line.split(" #")[0] for line in text.splitlines() if not line.startswith("#")]
    assert strip(first.stdout) == strip(second.stdout)


def test_serve_warns_loudly_beyond_loopback(tmp_path):
    with subprocess.Popen([server_binary(), "serve", "--listen", "0.0.0.0:0", "--data",
                           str(tmp_path / "d")], env=clean_env(), stderr=subprocess.PIPE,
                          text=True) as p:
        lines = []
        for line in p.stderr:
            lines.append(line)
            if "msg=serving" in line:
                break
        p.terminate()
        assert p.wait(20) == 0
        p.stderr.read()
    assert any("level=warn" in x and "without authentication" in x for x in lines)


def test_serve_does_not_warn_on_loopback(server):
    assert "without authentication" not in server.log()


def test_a_data_directory_that_cannot_be_is_exit_78(tmp_path):
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    r = run("serve", "--listen", "127.0.0.1:0", "--data", str(file))
    assert r.returncode == 78
    assert str(file) in r.stderr


def test_a_taken_port_is_exit_1_and_named(server, tmp_path):
    r = run("serve", "--listen", f"127.0.0.1:{server.port}", "--data", str(tmp_path / "other"))
    assert r.returncode == 1
    assert str(server.port) in r.stderr


def test_healthcheck_asks_the_running_server(start_server):
    s = start_server(base_path="/p")
    for listen in (f"127.0.0.1:{s.port}", f":{s.port}", f"0.0.0.0:{s.port}"):
        r = run("healthcheck", "--listen", listen, "--base-path", "/p")
        assert (r.returncode, r.stdout) == (0, "ready\n"), r.stderr
    assert run("healthcheck", "--listen", f"127.0.0.1:{s.port}").returncode == 1
    port = s.port
    assert s.stop() == 0
    r = run("healthcheck", "--listen", f"127.0.0.1:{port}", "--base-path", "/p")
    assert r.returncode == 1 and "onnect" in r.stderr


def test_status_routes(server):
    assert server.get("/healthy").status == 200
    ready = server.get("/ready")
    assert (ready.status, ready.text) == (200, "ready")
    info = server.get("/api/v1/status/buildinfo")
    assert info.headers["Content-Type"] == "application/json"
    assert info.text.startswith('{"status":"success","data":{"version":"')
    for key in ("revision", "branch", "buildUser", "buildDate", "goVersion"):
        assert f'"{key}":"' in info.text
    pretty = server.get("/api/v1/status/buildinfo", headers={"Accept": "application/json+pretty"})
    assert pretty.text.startswith('{\n  "status": "success"')
    other = server.get("/api/v1/nothing")
    assert (other.status, other.text) == (404, '{"code":5,"message":"Not Found","details":[]}')
    metrics = server.get("/metrics").text
    assert 'flamekeep_http_requests_total{route="/ready"} 1' in metrics
    assert 'flamekeep_build_info{version="' in metrics


def test_the_store_tells_what_it_holds(server):
    def store():
        return json.loads(server.get("/api/v1/status/store").text)["data"]
    assert store()["head_profiles"] == 0
    assert server.post("/ingest?name=x", b"a;b 1\n").status == 200
    assert (store()["head_profiles"], store()["pushes"]) == (1, 1)
    metrics = server.get("/metrics").text
    assert "\nflamekeep_pushes_total 1\n" in metrics
    assert "\nflamekeep_storage_head_profiles 1\n" in metrics
    assert len(re.findall(r"^# TYPE (\S+)", metrics, re.M)) == \
        len(set(re.findall(r"^# TYPE (\S+)", metrics, re.M)))


def test_ready_tells_when_the_data_directory_is_gone(start_server):
    s = start_server()
    import shutil
    shutil.rmtree(s.data)
    r = s.get("/ready")
    assert r.status == 503
    assert r.headers["Retry-After"]


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(start_server):
    s = start_server(base_path="/x/y")
    page = s.get("/")
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for name in ("assets/app.js", "assets/style.css"):
        assert f'"{name}"' in page.text
        assert s.get("/" + name).status == 200
    assert not re.search(r"(src|href)=\"(https?:)?/", page.text)
    again = s.get("/", headers={"If-None-Match": page.headers["ETag"]})
    assert again.status == 304 and not again.body
    assert s.get("/assets/../index.html").status == 404
