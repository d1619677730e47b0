"""A network is generated from a plan, and its hosts, network namespaces, run what was generated."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import PATIENCE
from tests.hosting.engines import ENGINES
from tests.test_contrib import needs
from tests.test_transcripts import run

SCRIPT = """\
mount -t tmpfs tmpfs /run && mount -t proc proc /proc && mkdir /run/netns && exec "$@"
"""
NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")


@pytest.mark.no_cover
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces")
@needs("ip")
@pytest.mark.parametrize("engine", ENGINES)
def test_five_hosts_run_what_was_generated_and_their_clients_write_to_each_other(
    engine: str,
) -> None:
    run = (sys.executable, "-m", "tests.hosting.planned", engine)
    ran = subprocess.run(
        [*NAMESPACES, "sh", "-c", SCRIPT, "sh", *run],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.findall(r"^(\w+) has: (.+)$", ran.stdout, re.MULTILINE) == [
        ("barbara", "from ada"),
        ("grace", "from barbara"),
        ("hedy", "from grace"),
        ("katherine", "from hedy"),
        ("ada", "from katherine"),
    ]
    assert ran.stdout.count("ok    client     running") == 5
    tried = set(re.findall("^tried: (.+)$", ran.stdout, re.MULTILINE))
    # systemd tries nothing: nodes tell it that they run.
    assert len(tried) == (0 if engine == "systemd" else 6)


ADDRESSES = (
    *("192.0.2.7", "192.0.2.40", "198.51.100.7", "198.51.100.99"),
    *("203.0.113.7", "203.0.113.8", "203.0.113.99"),
)


@pytest.mark.no_cover
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces")
@needs("ip")
def test_the_life_of_a_network_goes_as_the_document_says(tmp_path: Path) -> None:
    checkout = Path(__file__).parent.parent
    machines = (sys.executable, "-m", "tests.hosting.machines", *ADDRESSES)
    shell = [*NAMESPACES, "sh", "-c", SCRIPT, "sh", *machines]
    transcript = checkout / "tests" / "hosting" / "life.txt"
    run(transcript, tmp_path, shell, PYTHONPATH=str(checkout))
