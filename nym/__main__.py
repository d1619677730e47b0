"""The program. gevent's patch comes before every other import."""

from gevent import monkey

monkey.patch_all()

import sys

from nym.cli import run


def main() -> None:
    """Run the command line, and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
