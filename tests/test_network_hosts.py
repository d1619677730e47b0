"""A network is generated from a plan, and its hosts, network namespaces, run what was generated."""

import os
import re
import subprocess
import sys

import pytest

from tests.harness import PATIENCE
from tests.test_contrib import needs

SCRIPT = """\
mount -t tmpfs tmpfs /run && mount -t proc proc /proc && mkdir /run/netns && exec "$@"
"""
NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")


@pytest.mark.no_cover
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces")
@needs("ip")
def test_five_hosts_run_what_was_generated_and_their_clients_write_to_each_other() -> None:
    ran = subprocess.run(
        [*NAMESPACES, "sh", "-c", SCRIPT, "sh", sys.executable, "-m", "tests.hosting.planned"],
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
