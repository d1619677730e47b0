"""Send messages through a Nym 0.4 mix network: nobody on the way learns who talks to whom.

Usage:
  nym-client
  nym-client init --id ID [--provider KEY] [--directory URL] [--force]
  nym-client tcpsocket --id ID [--listen HOST] [--port PORT] [--directory URL] [--reliable]
  nym-client websocket --id ID [--listen HOST] [--port PORT] [--directory URL] [--reliable]
  nym-client localnet [--port PORT] [--host IP] [--layers N] [--width N] [--providers N]
                      [--folder DIR]
  nym-client demo
  nym-client --help
  nym-client --version

Commands:
  init        make a client: its keys, its address, its config.toml
  tcpsocket   run a client; applications connect to it over TCP
  websocket   run a client; applications connect to it with a WebSocket
  localnet    run a whole network on this machine
  demo        a local network and two clients that write to each other

Options:
  --id ID             the client's name on this machine
  --provider KEY      the provider to use, its key in base58; else one is chosen
  --directory URL     the network's directory; else the configured one
  --force             replace keys that are there; their address is lost
  -p PORT --port PORT
                      port to listen on; 0: the system chooses. A client: the configured one,
                      else 9001. localnet: the directory's, else 8080
  --listen HOST       where applications connect, else as configured, else 127.0.0.1;
                      unix:PATH: a UNIX socket, for this user alone
  --reliable          messages are sent until they are acknowledged, unless they ask not to be;
                      tells their recipients who sent them
  --host IP           where the network listens, and can be reached [default: 127.0.0.1]
  --layers N          layers of mixnodes, 1 to 4 [default: 3]
  --width N           mixnodes in each layer [default: 1]
  --providers N       providers [default: 1]
  --folder DIR        keep keys and undelivered messages here; else they end with the network
  --help              show this
  --version           show the version

Examples:
  nym-client demo
  nym-client init --id alice
  nym-client tcpsocket --id alice --port 9001
"""

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import docopt

from nym import __version__
from nym.cli.banner import banner
from nym.errors import NymError, UsageError

Options = Mapping[str, Any]

COMMANDS = {
    "init": "nym.cli.init",
    "tcpsocket": "nym.cli.run",
    "websocket": "nym.cli.run",
    "localnet": "nym.cli.localnet",
    "demo": "nym.cli.demo",
}


def run(arguments: list[str]) -> int:
    """Carry out one command line; returns the exit code."""
    try:
        if not {"--help", "-h"}.isdisjoint(arguments):  # behind a command, too
            print(__doc__, end="")
            return 0
        return _dispatch(_parse(arguments))
    except NymError as error:
        print(f"nym-client: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Nobody reads on; the interpreter is not to try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _parse(arguments: list[str]) -> Options:
    try:
        return docopt.docopt(__doc__ or "", arguments, default_help=False)
    except docopt.DocoptExit as error:
        raise UsageError(_misuse(arguments)) from error


def _misuse(arguments: list[str]) -> str:
    command = next((word for word in arguments if not word.startswith("-")), "")
    if command not in COMMANDS:
        known = ", ".join(COMMANDS)
        return f'there is no command "{command}"; there are {known}\nmore with: nym-client --help'
    # Its part of the text above: from its name to the next one's.
    usage = f"  nym-client {command}" + (__doc__ or "").split(f"  nym-client {command}", 1)[1]
    usage = " ".join(usage.split("\n  nym-client ", 1)[0].split())
    return f"these arguments don't fit: {' '.join(arguments)}\nusage: {usage}"


def _dispatch(options: Options) -> int:
    if options["--version"]:
        print(f"nym-client {__version__}")
        return 0
    for command, module in COMMANDS.items():
        if options[command]:
            # Imported when needed: --help doesn't wait for the network code.
            execute: Callable[[Options], int] = import_module(module).execute
            return execute(options)
    print(banner())
    print("usage: --help to see available options.")
    return 0
