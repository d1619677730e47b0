"""Measures everything, and says what was found: `python -m tests.timings [MEASUREMENTS]`."""

import sys

from tests.timings.leaks import FUNCTIONS, measure

MEASUREMENTS = 1_000_000
LIMIT = 5.0  # of t; eight correlated tests exceed it by chance in fewer than one of 10^5 runs

TABLE = "{:<14}{:>10}{:>10}  {}"


def main(measurements: int) -> int:
    """Print a line for each function; 1 if one tells something, or a twin doesn't."""
    print(TABLE.format("", "t", "twin's t", f"{measurements} measurements, at most {LIMIT:g}"))
    wrong = False
    for name in FUNCTIONS:
        own, twin = (measure(name, tells, measurements) for tells in (False, True))
        said = "tells its secret" if own > LIMIT else "tells nothing"
        if twin <= LIMIT:
            said = "can't be told: the twin wasn't found; take more measurements"
        print(TABLE.format(name, f"{own:.1f}", f"{twin:.1f}", said), flush=True)
        wrong = wrong or own > LIMIT or twin <= LIMIT
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else MEASUREMENTS))
