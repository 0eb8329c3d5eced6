"""docs/api.md: every command, run as it stands there, prints what stands behind it."""
import pathlib
import re
import subprocess

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "api.md"


def examples():
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", text, flags=re.S)
    assert len(found) == text.count("```sh\n") > 10, "a command without what it prints"
    return found


def test_every_example_prints_what_the_page_says(server):
    port = f"127.0.0.1:{server.port}"
    for command, printed in examples():
        done = subprocess.run(["bash", "-c", command.replace("127.0.0.1:4040", port)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=60)
        got = done.stdout.decode().rstrip("\n")
        assert got == printed.rstrip("\n"), command


def test_every_route_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    root = PAGE.parents[1]
    routes = re.findall(r'^ROUTE\(\w+, "(/[^"*]*)', (root / "api/routes.def").read_text(), flags=re.M)
    rpcs = re.findall(r'^RPC\("/([\w.]+)/(\w+)", *\s*(\w+)', (root / "api/rpcs.def").read_text(),
                      flags=re.M)
    built = [method for _, method, request in rpcs if request != "none"]
    missing = [r for r in routes if r not in ("/", "/api/") and r not in page]
    missing += [m for m in built if f"`{m}`" not in page]
    missing += [s for s in {s for s, _, _ in rpcs} if s not in page]
    assert not missing
