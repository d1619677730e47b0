"""Runs one benchmark: python -m benchmarks NAME [--json]; `network` has more options.

`client` and `timing` need root, `published` needs the published programs, and root for a client.
`timing` and `network` have tables of their own. `ratios` fails if something takes more time than it
should.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks import (
    client,
    directory,
    drawings,
    growth,
    hkdf,
    line,
    messages,
    overload,
    provider,
    published,
    pulls,
    ratios,
    relay,
    sphinx,
    start,
    store,
    timing,
)
from benchmarks.network import command as network

BENCHMARKS = {
    "client": client,
    "directory": directory,
    "growth": growth,
    "hkdf": hkdf,
    "line": line,
    "messages": messages,
    "overload": overload,
    "provider": provider,
    "published": published,
    "pulls": pulls,
    "ratios": ratios,
    "relay": relay,
    "sphinx": sphinx,
    "start": start,
    "store": store,
}


def main() -> None:
    """Run one benchmark, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True)
    for name in (*BENCHMARKS, "network", "timing"):
        names.add_parser(name).add_argument("--json", action="store_true", help="for programs")
    network.add_arguments(names.choices["network"])
    names.add_parser("drawings").add_argument("--draw", type=Path, metavar="FOLDER", required=True)
    arguments = parser.parse_args()
    if arguments.name == "drawings":
        drawings.draw_all(arguments.draw)
        return
    if arguments.name == "network":
        network.run(arguments)
        return
    if arguments.name == "timing":
        timing.show(is_json=arguments.json)
        return
    rows = BENCHMARKS[arguments.name].run()
    if arguments.json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
    else:
        print(f"{'what':<28}{'us':>9}{'yardstick':>12}{'ratio':>8}")
        for row in rows:
            print(f"{row.what:<28}{row.us:>9.1f}{row.yardstick_us:>12.1f}{row.ratio:>8.2f}")
    if arguments.name == "ratios" and (found := ratios.worse(rows)):
        sys.exit("\n".join(found))


main()
