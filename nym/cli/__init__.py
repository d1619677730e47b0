"""The command line: finds the command, carries it out, and turns every error into an exit code.

This is the only place that catches all errors: users see one sentence, never a traceback. Each
command is a module of this package, and is imported only when it is called, because a shell script
may call many commands and most modules are slow to load.
"""

import gc
import os
import resource
import signal
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import docopt
import gevent

from nym.cli.banner import VERSION, banner
from nym.cli.command import Command
from nym.cli.output import complain, occupy_closed_streams, say
from nym.cli.usage import COMMANDS, overview
from nym.cli.usage.common import OPTIONAL_ANY
from nym.errors import NymError, UsageError
from nym.net.descriptors import require

Options = Mapping[str, Any]

# File descriptors that every command may open at once, with a few to spare. With fewer, a command
# would fail somewhere in the middle. This way, it says at the start which limit to raise.
LEAST_DESCRIPTORS = 16
_HELP = {"--help", "-h"}
_VERSIONS = [["--verbose", "--version"], ["--version", "-v"]]


def run(arguments: list[str]) -> int:
    """Carry out one command line; returns the exit code."""
    # First of all, before anything else can open a file with the number of a closed stream.
    occupy_closed_streams()
    hub = gevent.get_hub()
    hub.NOT_ERROR += (KeyboardInterrupt,)  # not worth a report: the user pressed Ctrl-C
    hub.print_exception = _log_greenlet  # type: ignore[method-assign,assignment]
    # A closed pipe or connection then raises BrokenPipeError instead of killing the process. Python
    # does this at its start, but not the interpreter in the one file (spec/program.c).
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        require(LEAST_DESCRIPTORS)
        return _run(arguments)
    except NymError as error:
        complain(f"nym-client: {error}")
        return error.exit_code
    except BrokenPipeError:
        # Nobody reads the output any more. Programs end by SIGPIPE then, and so does this one: the
        # shell sees 141, as it does of others. Everything has been closed in order before.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
        return 1
    except KeyboardInterrupt:
        return 130  # as shells report a process that SIGINT has ended
    except Exception as error:  # noqa: BLE001 - users get a sentence, and a report in a file
        complain(f"nym-client: {_describe(error)}")
        return 1


def _describe(error: BaseException) -> str:
    try:
        from nym.cli import crash
    except OSError as failure:  # the module can't be opened, as when no descriptor is left
        return (
            f"an error that should not happen ({type(error).__name__}), and no report "
            f"could be written: {failure}"
        )
    return crash.describe(error)


def _log_greenlet(context: object, kind: Any, error: Any, trace: Any) -> None:
    from nym.cli.log import log_greenlet  # imported late, as its own imports are slow

    log_greenlet(kind, error, trace)


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    name = _command(arguments)
    if name is None:
        return _without_command(arguments)
    command = COMMANDS[name]
    # What follows `--` are arguments. A file may be called --help.
    options_end = arguments.index("--") if "--" in arguments else len(arguments)
    if not _HELP.isdisjoint(arguments[:options_end]):
        say(command.help.rstrip("\n"))
        return 0
    try:
        options = docopt.docopt(command.grammar, arguments, default_help=False)
    except docopt.DocoptExit as error:
        from nym.cli.mistakes import misuse

        raise UsageError(misuse(command, arguments)) from error
    if _takes_id(command, options) and options["--id"] is None:
        from nym.cli.homes import ALL, CLIENTS, only

        options["--id"] = only(ALL if OPTIONAL_ANY in command.options else CLIENTS)
    # The command is imported only now, so that --help doesn't wait for the network code. The log is
    # set up before that, so that lines that the imports log have the right form, too.
    from nym.cli.log import set_up_log

    set_up_log(None)
    _keep_memory_private()
    carry_out: Callable[[Options], int] = getattr(import_module(command.module), name)
    # nym.__main__ turned the collector off. What was loaded stays until the end, so it is looked
    # through once, for what was only needed meanwhile, and never again.
    gc.collect()
    gc.freeze()
    gc.enable()
    # Ctrl-C raises KeyboardInterrupt from now on. Until here, it ends the process at once, because
    # an import that is interrupted can lose the exception, and the program would go on.
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return carry_out(options)


def _takes_id(command: Command, options: Options) -> bool:
    """Whether the form of the command that was used has --id."""
    return any(
        option.name == "--id"
        for form in command.forms
        if not form.words or any(options[word] for word in form.words)
        for option in form.options
    )


def _keep_memory_private() -> None:
    """Forbid core dumps, and let only root trace this process or read its memory.

    This applies to every command, because any of them may load keys. What no longer works because
    of it: docs/operating.md, "Looking into a client".
    """
    from nym._secrets import forbid_dumps

    forbid_dumps()
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    # The kernel forgets the first call when this process executes another program; a limit stays.
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _command(arguments: list[str]) -> str | None:
    """The command's name: the first word. If options come first, the first word that is a command.

    None if there is no command. Raises UsageError if the first word isn't one.
    """
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
        say(VERSION)
    elif sorted(arguments) in _VERSIONS:
        from nym.cli.versions import versions

        say("\n".join(versions()))
    else:
        raise UsageError(
            f"a command is missing in: {' '.join(arguments)}\nfor help: nym-client --help"
        )
    return 0
