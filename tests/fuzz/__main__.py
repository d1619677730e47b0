"""Fuzzes targets, each in a process: `python -m tests.fuzz [SECONDS [TARGET ...]]`."""

import os
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.targets import all_targets

SECONDS = 3600
BUILT = Path("build", "fuzz")
LIMITS = [  # what is more than any input may take, on a busy machine, too
    "-timeout=60",  # seconds for one input
    "-rss_limit_mb=512",  # for all inputs together, so nothing may pile up
    "-malloc_limit_mb=256",
]


def fuzz(name: str, seconds: int) -> bool:
    """Try one target, and print a line about it; False if it failed."""
    corpus, log = BUILT / name, BUILT / f"{name}.log"
    corpus.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.one", name, corpus),
                *(f"-max_total_time={seconds}", "-print_final_stats=1", *LIMITS),
                f"-artifact_prefix={BUILT}/{name}-",
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    text = log.read_text(errors="replace")
    if done.returncode:
        print(f"{text[-6000:]}\n{name}: failed, see {log}; to try an input again:")
        print(f"  {sys.executable} -m tests.fuzz.one {name} {_input(text) or 'INPUT'}", flush=True)
        return False
    print(f"{name:<18}{_figures(text)}", flush=True)
    return True


def _input(text: str) -> str | None:
    found = re.search(r"Test unit written to (\S+)", text)
    return found and found[1]


def _figures(text: str) -> str:
    inputs = re.search(r"number_of_executed_units: *(\d+)", text)
    memory = re.search(r"peak_rss_mb: *(\d+)", text)
    ways = re.findall(r"cov: (\d+)", text)
    if not (inputs and memory):
        raise ValueError(f"libFuzzer didn't say what it did:\n{text[-2000:]}")
    # No ways are counted in C.
    return f"{int(inputs[1]):>12} inputs, {(ways or ['no'])[-1]:>5} ways, {memory[1]:>4} MB"


def main(seconds: int, *names: str) -> int:
    """Return how many of the targets failed."""
    if platform.machine() != "x86_64":
        print("fuzz: atheris has no build for this machine, so nothing is tried")
        return 0
    unknown = set(names) - all_targets().keys()
    if unknown:
        print(f"fuzz: no target is called {', '.join(unknown)}; known: {', '.join(all_targets())}")
        return 2
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        succeeded = pool.map(lambda name: fuzz(name, seconds), names or all_targets())
        return sum(not good for good in succeeded)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS, *sys.argv[2:]))
