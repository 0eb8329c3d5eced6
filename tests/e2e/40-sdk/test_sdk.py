"""The real SDKs, unchanged: a program with each pushes for seconds and is found again.

The programs are those of ../shared/captures/clients; what they install lives under build/sdk. A
test is skipped by name where its toolchain or the programs are missing.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
CLIENTS = ROOT.parent / "shared" / "captures" / "clients"
BUILD = ROOT / "build" / "sdk"
RUN_SECONDS = 8
INSTALL_SECONDS = 300


def need(name, *tools):
    if not (CLIENTS / name).is_dir():
        pytest.skip(f"SKIPPED {name} SDK: no {CLIENTS / name}")
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"SKIPPED {name} SDK: no {tool}")
    target = BUILD / name
    if not target.is_dir():
        shutil.copytree(CLIENTS / name, target)
    return target


def run(command, cwd, **env):
    done = subprocess.run(command, cwd=cwd, env=dict(os.environ, **env), timeout=INSTALL_SECONDS,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-3000:]


def client_env(server, application):
    return {"PYROSCOPE_SERVER_ADDRESS": server.url, "PYROSCOPE_APPLICATION_NAME": application,
            "PYROSCOPE_BASIC_AUTH_USER": "user1", "PYROSCOPE_BASIC_AUTH_PASSWORD": "secret1",
            "RUN_SECONDS": str(RUN_SECONDS), "UPLOAD_SECONDS": "3"}


def ask(server, method, **question):
    now_ms = int(time.time() * 1000)
    question.update(start=now_ms - 3600_000, end=now_ms + 60_000)
    reply = server.post("/querier.v1.QuerierService/" + method, json.dumps(question).encode(),
                        headers={"Content-Type": "application/json"})
    assert reply.status == 200, reply.text
    return json.loads(reply.body)


def assert_found(server, application, profile_type, function):
    selector = f'{{service_name="{application}"}}'
    types = ask(server, "LabelValues", name="__profile_type__", matchers=[selector])["names"]
    assert profile_type in types
    graph = ask(server, "SelectMergeStacktraces", profileTypeID=profile_type,
                labelSelector=selector)["flamegraph"]
    assert int(graph["total"]) > 0
    assert any(function in name for name in graph["names"]), graph["names"]
    regions = ask(server, "LabelValues", name="region", matchers=[selector])
    assert regions.get("names"), "the SDK's own label is gone"


def test_python(server):
    where = need("python", "python3")
    python = where / "venv" / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", "venv"], where)
        run([python, "-m", "pip", "install", "-q", "-r", "requirements.txt"], where)
    run([python, "client.py"], where, **client_env(server, "sdk.python"))
    assert_found(server, "sdk.python", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", "slow_work")


def test_go(server):
    where = need("go", "go")
    if not (where / "client").exists():
        run(["go", "build", "-o", "client", "."], where)
    run(["./client"], where, **client_env(server, "sdk.go"))
    assert_found(server, "sdk.go", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", "main.burn")


def test_node(server):
    where = need("node", "node", "npm")
    if not (where / "node_modules").is_dir():
        run(["npm", "install", "--silent", "--no-audit", "--no-fund"], where)
    run(["node", "client.js"], where, **client_env(server, "sdk.node"))
    assert_found(server, "sdk.node", "wall:wall:nanoseconds:wall:nanoseconds", "burn")
