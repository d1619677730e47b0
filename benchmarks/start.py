"""How long the one file takes to start, beside Python alone: `python3 -c pass`.

dist/nym-client must have been built. The time ends when the process ends; for a client, when it
prints its public key.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Row, compare, measure

PROGRAM = Path("dist/nym-client").absolute()
NOWHERE = "http://127.0.0.1:1"  # no directory answers there


def run() -> list[Row]:
    """Measure `--version`, `init` of a new client, and the start of a client."""
    with TemporaryDirectory() as home:
        environment = os.environ | {"XDG_CONFIG_HOME": home}
        commands = {
            "--version": ("--version",),
            "init": ("init", "--id", "alice", "--force", "--directory", NOWHERE),
            "tcpsocket, to its public key": ("tcpsocket", "--id", "alice", "--port", "0"),
        }
        _run(environment, str(PROGRAM), *commands["init"])
        times = measure(
            {
                "python3": partial(_run, environment, sys.executable, "-c", "pass"),
                **{
                    what: partial(_run, environment, str(PROGRAM), *command)
                    for what, command in commands.items()
                },
            }
        )
    return [compare(what, times[what], times["python3"]) for what in commands]


def _run(environment: Mapping[str, str], *command: str) -> None:
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        for line in process.stdout or ():
            if line.startswith(b"Public key: "):
                process.kill()
