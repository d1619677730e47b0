"""Runs one benchmark: python -m benchmarks NAME [--json]."""

import argparse
import json

from benchmarks import hkdf, line, overload, provider, relay, sphinx, start, store

BENCHMARKS = {
    "hkdf": hkdf,
    "line": line,
    "overload": overload,
    "provider": provider,
    "relay": relay,
    "sphinx": sphinx,
    "start": start,
    "store": store,
}


def main() -> None:
    """Run one benchmark, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args()
    rows = BENCHMARKS[arguments.name].run()
    if arguments.json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
        return
    print(f"{'what':<28}{'us':>9}{'yardstick':>12}{'ratio':>8}")
    for row in rows:
        print(f"{row.what:<28}{row.us:>9.1f}{row.yardstick_us:>12.1f}{row.ratio:>8.2f}")


main()
