#!/usr/bin/env python3
"""bench_server - the real server under the fixed workload, beside what the reference needs.

    bench_server.py          TEST_SERVER names the release server (bench/run.sh sets it)

Starts the server on folders that are deleted afterwards and drives it with
../shared/workload/load.go: the start of an empty store, idle memory, acknowledgements at 300
pushes per second, the ingest benchmark i1 at full speed, flame graphs of its data, and the sum
of every service and type against the exact one of the spool. Each figure has its bar and, where
../shared/workload/peer.json knows it, the reference's.

BENCH_SPOOL names a spool of i1 that exists already; otherwise one is made (497 MB in the folder
for temporary files, half a minute). Without ../shared/workload or go it says so and measures
nothing. Exit code 1 when a bar is missed.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

WORKLOAD = os.path.abspath("../shared/workload")
SPOOL_FLAGS = ["-targets", "1000", "-services", "50", "-minutes", "1", "-interval", "15s",
               "-start", "2026-11-23T08:00:00Z"]
STARTS = 5
RATE = 300
RATE_PUSHES = 6000  # twenty seconds
QUIET_S = 40  # joining begins half a minute after the last pressure on memory
IDLE_WAIT_S = 300
KINDS = {"memory": "heap", "goroutines": "goroutine", "mutex": "mutex", "block": "block",
         "wall": "wall"}

missed = []


def figure(name, value, bar, is_met):
    print(f"FIGURE\t{name}\t{value}\t{bar}\t{'ok' if is_met else 'MISSED'}", flush=True)
    if not is_met:
        missed.append(name)


def at_most(name, value, bar, unit, digits=1):
    figure(name, f"{value:.{digits}f} {unit}", f"{bar:.{digits}f} {unit}", value <= bar)


def beside(name, ours, theirs, unit):
    print(f"{name:44} {ours:10.2f} {unit:4} reference {theirs:10.2f} {unit:4} "
          f"{theirs / ours if ours else float('inf'):8.1f} times ours", flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One run on a fresh folder; leaving it stops the server, which must exit with 0."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.log = os.path.join(folder, "log")

    def __enter__(self):
        os.makedirs(self.folder)
        command = [os.environ["TEST_SERVER"], "serve", "--listen", f"127.0.0.1:{self.port}",
                   "--data", os.path.join(self.folder, "data"), "--limits", "reference-sizes"]
        start = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() - start > 30:
                raise SystemExit(f"bench_server: the server did not start, see:\n{self.tail()}")
            time.sleep(0.001)
        self.start_s = time.monotonic() - start
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        if code != 0:
            print(f"bench_server: the server left with {code}:\n{self.tail()}", file=sys.stderr)
            missed.append("exit code of the server")
        shutil.rmtree(self.folder)

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-20:])

    def is_ready(self):
        try:
            with urllib.request.urlopen(self.url + "/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1000
        raise SystemExit("bench_server: no VmRSS")

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            user, system = stat.read().rsplit(") ", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def wait_until_idle(self):
        """Until what was pushed is sealed and joined, so that a question pays for itself only."""
        start = quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < QUIET_S:
            before = self.cpu_s()
            time.sleep(2)
            if self.cpu_s() - before > 0.04:
                quiet_since = time.monotonic()
            if quiet_since - start > IDLE_WAIT_S:
                print("bench_server: the server does not become idle; questions seem too dear")
                return

    def ask(self, method, body):
        request = urllib.request.Request(
            f"{self.url}/querier.v1.QuerierService/{method}", data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)


class Workload:
    def __init__(self, folder):
        self.load = os.path.join(folder, "load")
        subprocess.run(["go", "build", "-o", self.load, "load.go"], cwd=WORKLOAD, check=True)
        self.spool = os.environ.get("BENCH_SPOOL", os.path.join(folder, "i1.spool"))
        if not os.path.exists(self.spool):
            print("making the spool of i1", flush=True)
            subprocess.run([self.load, "-prepare", "-spool", self.spool, "-corpus", "corpus"]
                           + SPOOL_FLAGS, cwd=WORKLOAD, stdout=subprocess.DEVNULL, check=True)
        with open(self.spool + ".json", encoding="utf-8") as header:
            self.header = json.load(header)

    def drive(self, server, *flags):
        done = subprocess.run([self.load, "-spool", self.spool, "-url", server.url,
                               "-pid", str(server.process.pid), *flags],
                              stdout=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench_server: load.go {' '.join(flags)} left with "
                             f"{done.returncode}:\n{done.stdout.decode()[-2000:]}\n{server.tail()}")
        return json.loads(done.stdout)

    def inflate_cpu_s(self):
        """CPU that libdeflate needs for the same bodies; None where it cannot be built."""
        program = self.load + ".inflate"
        try:
            subprocess.run(["cc", "-O2", "-o", program, os.path.join(WORKLOAD, "inflate.c"),
                            "-ldeflate"], check=True, stderr=subprocess.DEVNULL)
            text = subprocess.run([program, self.spool], check=True, stdout=subprocess.PIPE)
            return json.loads(text.stdout)["cpu_s"]
        except (OSError, subprocess.CalledProcessError, ValueError, KeyError):
            return None


def measure_starts(folder):
    best, idle_mb = 1e9, 0.0
    for i in range(STARTS):
        with Server(os.path.join(folder, f"empty{i}")) as server:
            best = min(best, server.start_s)
            if i == STARTS - 1:
                time.sleep(2)
                idle_mb = server.resident_mb()
    return best * 1000, idle_mb


def sums_of(server, header):
    """The sum of every service and type, as the server tells it: {(service, key): total}."""
    span = {"start": str(header["start_ms"] - 60000), "end": str(header["end_ms"] + 60000)}
    sums = {}
    for type_id in [t["ID"] for t in server.ask("ProfileTypes", span)["profileTypes"]]:
        name, sample_type, unit = type_id.split(":")[:3]
        answer = server.ask("SelectSeries", {
            **span, "profileTypeID": type_id, "labelSelector": "{}", "groupBy": ["service_name"],
            "step": 15})
        for series in answer["series"]:
            service = series["labels"][0]["value"]
            # What a client called wall and measures CPU is stored as process_cpu.
            kind = KINDS.get(name, "cpu")
            if name == "process_cpu" and f"wall:{sample_type}:{unit}" in header["sums"][service]:
                kind = "wall"
            key = (service, f"{kind}:{sample_type}:{unit}")
            sums[key] = sums.get(key, 0) + sum(int(p["value"]) for p in series["points"])
    return {key: value for key, value in sums.items() if value != 0}


def compare_sums(server, header):
    """By SelectSeries: a flame graph leaves samples without frames out, as the reference's does."""
    want = {(service, key): value for service, sums in header["sums"].items()
            for key, value in sums.items() if value != 0}
    got = sums_of(server, header)
    different = sorted(key for key in want.keys() | got.keys() if want.get(key) != got.get(key))
    for key in different[:10]:
        print(f"sum of {key}: pushed {want.get(key)}, answered {got.get(key)}")
    equal = len(want) - len([key for key in different if key in want])
    figure("i1: sums that equal the pushed ones", equal, len(want), not different)


def query_cpu_ms(queries, name):
    return next(q["server_cpu_ms"] for q in queries if q["query"].startswith(name))


def compare_queries(workload, server, peer):
    for name in ("Flamegraph big service 1h", "Flamegraph all services"):
        answer = workload.drive(server, "-query", "-k", "5", "-idle", "2s", "-only", name)
        ours = query_cpu_ms(answer["queries"], name)
        theirs = query_cpu_ms(peer["query"]["w1h"], name)
        total, pushed = answer["queries"][0]["total"], answer["queries"][0]["expected_total"]
        if not 0.999 * pushed <= total <= pushed:
            missed.append(name)
        print(f"{name}: total {total}, {(1 - total / pushed) * 100:.3f} % less than was pushed, "
              "which are samples without frames")
        beside(f"{name} (reference: of w1h), CPU", ours / 1000, theirs / 1000, "s")
        at_most(f"i1: {name[:-3] if name.endswith(' 1h') else name}, CPU", ours, theirs, "ms")


def measure_ingest(workload, folder, peer):
    with Server(os.path.join(folder, "i1")) as server:
        pushed = workload.drive(server, "-concurrency", "400")["server"]
        theirs = [peer["push"][run]["server"] for run in ("i1", "i2", "i3")]
        best_cpu = min(t["cpu_s_per_1000_profiles"] for t in theirs)
        best_peak = min(t["rss_peak_mb"] for t in theirs)
        beside("i1: CPU per 1,000 profiles", pushed["cpu_s_per_1000_profiles"], best_cpu, "s")
        beside("i1: peak resident memory", pushed["rss_peak_mb"], best_peak, "MB")
        inflate = workload.inflate_cpu_s()
        if inflate:
            beside("i1: CPU / inflating with libdeflate", pushed["cpu_s"] / inflate,
                   min(peer["ratios_i1"]["server_cpu_over_libdeflate_inflate"]), "x")
        at_most("i1: server CPU per 1,000 profiles", pushed["cpu_s_per_1000_profiles"], 1.0, "s", 2)
        at_most("i1: peak resident memory", pushed["rss_peak_mb"], 170, "MB")
        server.wait_until_idle()
        compare_queries(workload, server, peer)
        compare_sums(server, workload.header)


def main():
    if not os.path.isdir(WORKLOAD):
        print(f"bench_server: SKIPPED, no workload at {WORKLOAD}")
        return 0
    if shutil.which("go") is None:
        print("bench_server: SKIPPED, no go to build load.go with")
        return 0
    with open(os.path.join(WORKLOAD, "peer.json"), encoding="utf-8") as text:
        peer = json.load(text)
    with tempfile.TemporaryDirectory(prefix="flamekeep-bench-") as folder:
        ready_ms, idle_mb = measure_starts(folder)
        beside("start of an empty store", ready_ms / 1000, min(peer["idle"]["ready_s"]), "s")
        beside("resident memory, idle", idle_mb, min(peer["idle"]["rss_mb"]), "MB")
        at_most("start of an empty store, best of five", ready_ms, 100, "ms")
        at_most("resident memory, idle", idle_mb, 20, "MB")
        workload = Workload(folder)
        with Server(os.path.join(folder, "rate")) as server:
            paced = workload.drive(server, "-rate", str(RATE), "-limit", str(RATE_PUSHES))
        latency = paced["latency_ms"]
        print(f"acknowledgement at {RATE} pushes/s: p50 {latency['p50']} ms, p99 {latency['p99']} ms, "
              f"greatest {latency['max']} ms; the reference at 67: p99 "
              f"{peer['push']['half_i1_at_67_per_s']['latency_ms']['p99']} ms")
        at_most(f"p99 acknowledgement at {RATE} pushes/s", latency["p99"], 50, "ms")
        measure_ingest(workload, folder, peer)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
