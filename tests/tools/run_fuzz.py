#!/usr/bin/env python3
"""Run every fuzz target for a while from its seeds; a finding keeps its input and fails the run.

Seeds of fuzz_x: build/seeds/x (made by tests/fuzz/seed_x) and tests/fuzz/corpus/x (kept
regressions). What the fuzzer discovers goes to build/fuzz/corpus/x, findings to
build/fuzz/findings/. The last line is `N passed, N failed`.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys


def run_one(build, name, seconds):
    short = name[len("fuzz_"):]
    corpus = f"{build}/corpus/{short}"
    findings = f"{build}/findings/"
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(findings, exist_ok=True)
    command = [f"{build}/{name}", f"-max_total_time={seconds}", "-timeout=10",
               "-rss_limit_mb=2048", "-print_final_stats=1", "-close_fd_mask=1",
               f"-artifact_prefix={findings}{short}-", corpus]
    dictionary = f"tests/fuzz/{short}.dict"
    if os.path.exists(dictionary):
        command.insert(1, f"-dict={dictionary}")
    seeds = [d for d in (f"build/seeds/{short}", f"tests/fuzz/corpus/{short}") if os.path.isdir(d)]
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "allocator_may_return_null=1:detect_leaks=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    try:
        done = subprocess.run(command + seeds, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds + 120, check=False)
        text, code = done.stdout.decode("utf-8", "replace"), done.returncode
    except subprocess.TimeoutExpired as late:
        text, code = (late.stdout or b"").decode("utf-8", "replace"), -1
    runs = re.search(r"number_of_executed_units: (\d+)", text)
    edges = re.findall(r"cov: (\d+)", text)
    return name, code, runs.group(1) if runs else "?", edges[-1] if edges else "0", seeds, text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("build")
    args = parser.parse_args()
    if not os.path.isdir(args.build):
        print(f"{args.build}: no fuzz target was built")
        return 1
    names = sorted(f for f in os.listdir(args.build)
                   if f.startswith("fuzz_") and "." not in f and args.only in f)
    # A target whose source is gone must not be run from an old build.
    names = [n for n in names if os.path.exists(f"tests/fuzz/{n}.c")]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for name, code, runs, edges, seeds, text in pool.map(
                lambda n: run_one(args.build, n, args.seconds), names):
            seeded = "" if seeds else ", NO SEEDS"
            print(f"{'ok' if code == 0 else 'not ok'} {name}: {runs} runs, {edges} edges{seeded}",
                  flush=True)
            if code != 0:
                failed += 1
                print("\n".join("    " + line for line in text.splitlines()[-60:]), flush=True)
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    sys.exit(main())
