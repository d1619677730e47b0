"""Greenlets in tests, too: the program's modules count on gevent's patch.

Only of what waits on the network; pytest-xdist's workers have threads of their own by now.
"""

from gevent import monkey

monkey.patch_socket()
monkey.patch_ssl()
monkey.patch_select()
monkey.patch_time()

import signal  # noqa: E402
import subprocess  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from nym.net import resolver, transport  # noqa: E402
from nym.net.places import Experience  # noqa: E402
from nym.store.journal import Journal  # noqa: E402
from tests.harness import SmallDisk  # noqa: E402

# What a shell starts in the background ignores Ctrl-C, and so would what it starts itself.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
settings.register_profile("nym", deadline=None)
settings.load_profile("nym")


@pytest.fixture(autouse=True)
def experience(monkeypatch: pytest.MonkeyPatch) -> Experience:
    """What connections of other tests have shown says nothing in this one."""
    fresh = Experience()
    monkeypatch.setattr(resolver, "experience", fresh)
    monkeypatch.setattr(transport, "experience", fresh)
    return fresh


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path, bytes(32))
    yield journal
    journal.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mounted)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can be made by root only")
    yield SmallDisk(mounted)
    subprocess.run(["umount", "-l", str(mounted)], check=True)  # noqa: S607
