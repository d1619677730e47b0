"""The command line: what it means, and how it ends."""

import gc
import os
import resource
import signal
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import docopt
import gevent

from nym import __version__
from nym.cli.banner import banner
from nym.cli.output import complain, occupy_closed_streams, say
from nym.cli.usage import COMMANDS, overview
from nym.errors import NymError, UsageError
from nym.net.descriptors import require

Options = Mapping[str, Any]

LEAST_DESCRIPTORS = 16  # what any command has open at once, and some to spare
_HELP = {"--help", "-h"}
_VERSIONS = [["--verbose", "--version"], ["--version", "-v"]]


def run(arguments: list[str]) -> int:
    """Carry out one command line; returns the exit code."""
    occupy_closed_streams()
    hub = gevent.get_hub()
    hub.NOT_ERROR += (KeyboardInterrupt,)  # the user who pressed Ctrl-C knows
    hub.print_exception = _log_greenlet  # type: ignore[method-assign,assignment]
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python does where it isn't one file
    try:
        require(LEAST_DESCRIPTORS)
        return _run(arguments)
    except NymError as error:
        complain(f"nym-client: {error}")
        return error.exit_code
    except BrokenPipeError:
        # Nobody reads on. That ends a program as it ends every other one, by now in good order.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - no traceback is for users
        complain(f"nym-client: {_describe(error)}")
        return 1


def _describe(error: BaseException) -> str:
    try:
        from nym.cli import crash
    except OSError as failure:  # no descriptor to read it with
        return f"an error that should not happen ({type(error).__name__}); no report: {failure}"
    return crash.describe(error)


def _log_greenlet(context: object, kind: Any, error: Any, trace: Any) -> None:
    from nym.cli.log import log_greenlet

    log_greenlet(kind, error, trace)


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    name = _command(arguments)
    if name is None:
        return _without_command(arguments)
    command = COMMANDS[name]
    options_end = arguments.index("--") if "--" in arguments else len(arguments)
    if not _HELP.isdisjoint(arguments[:options_end]):
        say(command.help.rstrip("\n"))
        return 0
    try:
        options = docopt.docopt(command.grammar, arguments, default_help=False)
    except docopt.DocoptExit as error:
        from nym.cli.mistakes import misuse

        raise UsageError(misuse(command, arguments)) from error
    if "--id" in options and options["--id"] is None:
        from nym.cli.options import only_client

        options["--id"] = only_client()
    # Imported only now, so that --help doesn't wait for the network code. The log is set up first:
    # what the imports log then has the right form, too.
    from nym.cli.log import set_up_log

    set_up_log(None)
    _keep_memory_private()
    carry_out: Callable[[Options], int] = getattr(import_module(command.module), name)
    gc.enable()
    # Not before: where an import is interrupted, that can be lost.
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return carry_out(options)


def _keep_memory_private() -> None:
    """No core, and nobody but root looks into a process that has keys in its memory, or may get.

    docs/operating.md, "Looking into a client", says what that takes away.
    """
    from nym._secrets import forbid_dumps

    forbid_dumps()
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))  # also for what is started from here


def _command(arguments: list[str]) -> str | None:
    """The command's name: the first word, or the first that is one behind options."""
    if arguments and not arguments[0].startswith("-"):
        if arguments[0] not in COMMANDS:
            from nym.cli.mistakes import unknown_command

            raise UsageError(unknown_command(arguments[0]))
        return arguments[0]
    return next((word for word in arguments if word in COMMANDS), None)


def _without_command(arguments: list[str]) -> int:
    if not arguments:
        say(banner())
        say("usage: --help to see available options.")
    elif not _HELP.isdisjoint(arguments):
        say(overview().rstrip("\n"))
    elif arguments == ["--version"]:
        say(f"nym-client {__version__}")
    elif sorted(arguments) in _VERSIONS:
        from nym.cli.versions import versions

        say("\n".join(versions()))
    else:
        raise UsageError(
            f"a command is missing in: {' '.join(arguments)}\nmore with: nym-client --help"
        )
    return 0
