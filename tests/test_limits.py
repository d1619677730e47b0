"""The one file keeps to the limits in docs/one-file.md: its size, its start, and its memory.

A tenth more than the document says is accepted. The tests are skipped unless NYM_CLIENT names the
file. Run them alone, because anything else that runs makes starts slow.
"""

import json
import re
from pathlib import Path

import pytest

from benchmarks import start
from tests.harness import FILE, Program, for_one_file, run_program, wait_until

DOCUMENT = Path(__file__).parent.parent / "docs" / "one-file.md"
TO_SPARE = 1.1
LOOPS = 10  # loops that must have come back before the memory of the idle client is measured

pytestmark = for_one_file


def limit(what: str) -> float:
    """The limit that the document's table gives, and a tenth more."""
    lines = re.findall(r"^\| (.+?) \| ([\d.]+) \| [\d.]+ \|$", DOCUMENT.read_text(), re.MULTILINE)
    most = {name.replace("`", ""): float(number) for name, number in lines}
    return most[what] * TO_SPARE


def test_its_size() -> None:
    assert FILE.stat().st_size / 1e6 < limit("size, MB")


def test_how_long_it_takes_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "PROGRAM", FILE)
    for row in start.run():
        assert row.ratio < limit(row.what), f"the start is slower than the document says: {row}"


def test_the_memory_of_an_idle_client(tmp_path: Path) -> None:
    with Program(tmp_path, "localnet", "--port", "0") as network:
        directory = network.line(r"^directory +(http.*)$")[1]
        run_program(tmp_path, "init", "--id", "alice", "--directory", directory)
        with Program(tmp_path, "tcpsocket", "--id", "alice", "--port", "0") as client:
            client.line("^Listening")
            wait_until(lambda: loops_that_came_back(tmp_path) >= LOOPS)
            status = Path(f"/proc/{client.process.pid}/status").read_text()
    (kilobytes,) = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert int(kilobytes) * 1024 / 1e6 < limit("memory of an idle client, MB")


def loops_that_came_back(home: Path) -> int:
    code, out, _ = run_program(home, "status", "--id", "alice", "--json")
    return int(json.loads(out)["loops_returned"]) if code == 0 else 0
