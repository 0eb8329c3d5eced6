"""Fixtures of the black-box tests: a real server on a free loopback port.

`server` is one fresh server per test; `start_server` makes as many as a test wants, with
options. The binary is the one that `make e2e` built (TEST_SERVER).
"""
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

START_SECONDS = 20
STOP_SECONDS = 20


def server_binary():
    path = os.environ.get("TEST_SERVER")
    if not path:
        pytest.skip("TEST_SERVER names no server; run `make e2e`")
    return path


def clean_env():
    """Options of the caller's environment must not reach the server under test."""
    return {k: v for k, v in os.environ.items() if not k.startswith("FLAMEKEEP_")}


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")


class Server:
    """One process. start() waits until it answers; stop() asks it to end and returns its exit code."""

    def __init__(self, data, *options, base_path="", env=None):
        self.data, self.options, self.base_path = str(data), list(options), base_path
        self.env = dict(clean_env(), **(env or {}))
        self.log_path = self.data + ".log"
        self.process, self.port = None, None

    def start(self):
        command = [server_binary(), "serve", "--listen", "127.0.0.1:0", "--data", self.data]
        if self.base_path:
            command += ["--base-path", self.base_path]
        offset = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command + self.options, env=self.env, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            found = re.search(r"msg=serving .*?port=(\d+)", self.log()[offset:])
            if found:
                self.port = int(found.group(1))
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        pytest.fail(f"the server did not start:\n{self.log()[offset:]}")

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.base_path}"

    def request(self, method, path, body=None, headers=None, timeout=30):
        req = urllib.request.Request(self.url + path, data=body, method=method,
                                     headers=headers or {})
        try:
            with urllib.request.urlopen(req, timeout=timeout) as r:
                return Reply(r.status, r.headers, r.read())
        except urllib.error.HTTPError as e:
            with e:
                return Reply(e.code, e.headers, e.read())

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=b"", **kw):
        return self.request("POST", path, body=body, **kw)

    def connect(self, timeout=10):
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, seconds=STOP_SECONDS):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"the server did not stop within {seconds} s:\n{self.log()[-4000:]}")
        self.process = None
        return code

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.process = None


@pytest.fixture
def start_server(tmp_path):
    """start_server(*options, base_path=, env=, data=) -> a running Server."""
    started = []

    def start(*options, base_path="", env=None, data=None):
        s = Server(data or tmp_path / f"data{len(started)}", *options, base_path=base_path, env=env)
        started.append(s)
        return s.start()

    yield start
    for s in started:
        code = s.stop()
        # Sanitizers end a broken process with another code; every test notices.
        assert code in (0, None), f"exit code {code}:\n{s.log()[-4000:]}"


@pytest.fixture
def server(start_server):
    return start_server()
