#!/usr/bin/env python3
"""Run the unit and fault test programs and the black-box tests; sum them up.

Each C test is one cmocka program speaking TAP; a program that crashes, hangs or runs fewer
tests than it planned counts as failed. The last line is `N passed, N failed`; the exit code
is 0 only if nothing failed and something passed.
"""
import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

SANITIZER_ENV = {
    "ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1:detect_stack_use_after_return=1:"
                    "strict_string_checks=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Outcome:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []


def parse_tap(text, name, returncode, timed_out):
    """Counts of one program's output; whatever does not add up is a failure."""
    out = Outcome()
    planned = 0
    for line in text.splitlines():
        plan = re.match(r"1\.\.(\d+)", line)
        if plan:
            planned += int(plan.group(1))
            continue
        result = re.match(r"(not )?ok(?: \d+)?(?: -)?\s*(.*)", line)
        if not result:
            continue
        title = f"{name}: {result.group(2)}"
        if re.search(r"#\s*skip", line, re.I):
            out.skipped.append(title)
        elif result.group(1):
            out.failed.append(title)
        else:
            out.passed += 1
    seen = out.passed + len(out.failed) + len(out.skipped)
    if timed_out:
        out.failed.append(f"{name}: did not finish in time")
    elif returncode < 0:
        out.failed.append(f"{name}: killed by {signal.Signals(-returncode).name}")
    elif returncode != 0 and not out.failed:
        out.failed.append(f"{name}: exit code {returncode}")
    elif seen < planned:
        out.failed.append(f"{name}: {planned} tests planned, {seen} reported")
    elif seen == 0:
        out.failed.append(f"{name}: reported no test")
    return out


def run_unit(path, env, timeout):
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="flamekeep-test-") as tmp:
        # Everything a test writes stays in its own folder, gone afterwards.
        env = dict(env, TMPDIR=tmp, CMOCKA_MESSAGE_OUTPUT="TAP")
        process = subprocess.Popen([path], env=env, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        timed_out = False
        try:
            raw, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
            raw, _ = process.communicate()
    text = raw.decode("utf-8", "replace")
    name = re.sub(r"^build/[^/]+/tests/", "", path)
    return name, text, parse_tap(text, name, process.returncode, timed_out), time.monotonic() - start


def run_units(paths, env, jobs, timeout, total):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, text, out, seconds in pool.map(lambda p: run_unit(p, env, timeout), paths):
            verdict = "not ok" if out.failed else "ok"
            skipped = f", {len(out.skipped)} skipped" if out.skipped else ""
            print(f"{verdict} {name}: {out.passed} passed, {len(out.failed)} failed{skipped}"
                  f" ({seconds:.1f} s)", flush=True)
            if out.failed:
                tail = text.splitlines()[-120:]
                print("\n".join("    " + line for line in tail), flush=True)
            merge(total, out)


def merge(total, out):
    total.passed += out.passed
    total.failed += out.failed
    total.skipped += out.skipped


def run_pytest(folder, only, env, build_dir, total):
    if not any(f.startswith("test_") or f.endswith("_test.py") or f[:1].isdigit()
               for _, _, files in os.walk(folder) for f in files if f.endswith(".py")):
        print(f"skip {folder}: no tests there")
        return
    report = os.path.join(build_dir, "pytest.xml")
    if os.path.exists(report):
        os.unlink(report)
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider",
               f"--junitxml={report}", "-o", "junit_logging=no", folder]
    if only:
        command += ["-k", only]
    env = dict(env, PYTHONDONTWRITEBYTECODE="1")
    code = subprocess.run(command, env=env, check=False).returncode
    out = Outcome()
    try:
        root = ElementTree.parse(report).getroot()
    except (OSError, ElementTree.ParseError):
        out.failed.append(f"{folder}: pytest left no report (exit code {code})")
        merge(total, out)
        return
    for case in root.iter("testcase"):
        title = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            out.failed.append(title)
        elif case.find("skipped") is not None:
            out.skipped.append(f"{title}: {case.find('skipped').get('message')}")
        else:
            out.passed += 1
    if code not in (0, 1, 5) and not out.failed:
        out.failed.append(f"{folder}: pytest exit code {code}")
    merge(total, out)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="debug")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=int, default=300, help="seconds per program")
    parser.add_argument("--server", help="the built server")
    parser.add_argument("--unit", nargs="*", default=[])
    parser.add_argument("--pytest")
    parser.add_argument("--only")
    args = parser.parse_args()

    env = dict(os.environ, FLAMEKEEP_VARIANT=args.variant)
    for name, value in SANITIZER_ENV.items():
        supp = f"tests/tools/{name.split('_')[0].lower()}.supp"
        if os.path.exists(supp):
            value += f":suppressions={os.path.abspath(supp)}"
        env.setdefault(name, value)
    # FLAMEKEEP_* is also how the server is configured: none of the caller's may reach it.
    if args.server:
        env["TEST_SERVER"] = os.path.abspath(args.server)

    total = Outcome()
    if args.unit:
        run_units(args.unit, env, args.jobs, args.timeout, total)
    if args.pytest:
        if args.server:
            run_pytest(args.pytest, args.only, env, f"build/{args.variant}", total)
        else:
            print(f"skip {args.pytest}: no server was built")

    print()
    for title in total.skipped:
        print(f"skipped  {title}")
    for title in total.failed:
        print(f"FAILED   {title}")
    if total.skipped:
        print(f"{len(total.skipped)} skipped, named above")
    print(f"{total.passed} passed, {len(total.failed)} failed")
    sys.stdout.flush()
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
