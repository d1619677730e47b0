"""Fuzzes one target with coverage: `python -m tests.fuzz.one TARGET [FOLDER | INPUT] [-FLAG=...]`.

The flags are libFuzzer's. With the file of an INPUT, only that one is tried.
"""

import sys
from pathlib import Path

import atheris

# Modules that are imported here tell atheris which ways an input takes through them.
with atheris.instrument_imports(include=["nym", "tomllib", "websockets"]):
    from tests.fuzz.targets import all_targets

    TARGETS = all_targets()


def main(name: str, *arguments: str) -> None:
    """Never returns: libFuzzer ends the process."""
    target = TARGETS[name]
    if arguments and Path(arguments[0]).is_dir():
        for number, seed in enumerate(target.seeds()):
            (Path(arguments[0]) / f"seed-{number}").write_bytes(seed)
    flags = [f"-max_len={target.longest}", *arguments]
    atheris.Setup([sys.argv[0], *flags], target.try_on)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
