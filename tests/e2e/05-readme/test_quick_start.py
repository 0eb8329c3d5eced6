"""The README's quick start, taken from the README and run as it stands there."""
import gzip
import json
import pathlib
import re
import subprocess

import pytest

README = pathlib.Path(__file__).resolve().parents[3] / "README.md"


def quick_start_blocks():
    text = README.read_text(encoding="utf-8")
    section = text.split("## Quick start", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", section, re.S)


def run(block, server, folder):
    script = block.replace("http://127.0.0.1:4040", server.url).replace("curl ", "curl -fsS ")
    done = subprocess.run(["bash", "-ec", script], cwd=folder, capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def varint(n):
    out = b""
    while n > 0x7F:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def small_cpu_profile():
    """One sample of the stack main;from_pprof, 50 ms of CPU."""
    strings = [b"", b"cpu", b"nanoseconds", b"main", b"from_pprof"]
    cpu = field(1, 1) + field(2, 2)
    functions = [field(1, i) + field(2, name) + field(3, name) for i, name in ((1, 3), (2, 4))]
    locations = [field(1, i) + field(4, field(1, i) + field(2, 1)) for i in (1, 2)]
    sample = field(1, varint(2) + varint(1)) + field(2, varint(50_000_000))
    return (field(1, cpu) + field(2, sample) + b"".join(field(4, x) for x in locations) +
            b"".join(field(5, x) for x in functions) + b"".join(field(6, x) for x in strings) +
            field(11, cpu) + field(12, 10_000_000))


@pytest.fixture
def fed(server, tmp_path):
    if server.post("/ingest?name=probe").status == 404:
        pytest.skip("this build has no /ingest")
    if server.get("/pyroscope/render").status == 404:
        pytest.skip("this build has no /pyroscope/render")
    return server, tmp_path


def test_the_readme_has_a_folded_push_a_pprof_push_and_a_question():
    assert len(quick_start_blocks()) == 3


def test_what_the_readme_pushes_can_be_read_back_as_it_says(fed):
    server, folder = fed
    folded, pprof, question = quick_start_blocks()
    (folder / "cpu.pprof").write_bytes(gzip.compress(small_cpu_profile()))
    run(folded, server, folder)
    run(pprof, server, folder)
    graph = json.loads(run(question, server, folder))["flamebearer"]
    assert {"total", "main", "parse", "render", "paint", "layout", "from_pprof"} == set(
        graph["names"])
    # 100 folded samples at 100 Hz are one second, and 50 ms came as pprof.
    assert graph["numTicks"] == 1_050_000_000
