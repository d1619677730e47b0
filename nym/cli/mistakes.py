"""Finds out what is wrong with a command line, and what the user perhaps meant.

docopt only says that a command line fits none of the forms. So this reads the command line once
more, leniently, and names the first thing that is wrong. A suggestion never names an option that
destroys something: a user in a hurry would copy it.
"""

import difflib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nym.cli.command import HELP, Command, Form, Option
from nym.cli.usage import COMMANDS

# Names under which other programs have such a command, and what to use here.
_ELSEWHERE = {
    "run": "nym-client tcpsocket --id ID runs a client",
    "start": "nym-client tcpsocket --id ID runs a client",
    "stop": "Ctrl-C or SIGTERM stops a client; under systemd: systemctl stop nym-client@ID",
    "logs": "a client writes its log to standard error; under systemd: journalctl -u nym-client@ID",
    "ls": "nym-client list shows the clients, nym-client clients the addresses in the directory",
}


class _Given(NamedTuple):
    """An option on a command line; `option` is None if the command has no such option."""

    name: str
    option: Option | None
    has_value: bool


def unknown_command(word: str) -> str:
    """The error for a first word that isn't a command."""
    if word in _ELSEWHERE:
        known = f"; {_ELSEWHERE[word]}"
    else:
        known = _suggestion(word, COMMANDS) or f"; there are {', '.join(COMMANDS)}"
    return f'there is no command "{word}"{known}\nfor help: nym-client --help'


def misuse(command: Command, arguments: list[str]) -> str:
    """The error for arguments that docopt refused. `arguments` include the command's name."""
    options, words = _read(command, arguments)
    words.remove(command.name)
    forms = [form for form in command.forms if not form.words or set(words[:1]) & set(form.words)]
    found = _about_options(command, options)
    if not found and not forms:
        known = _suggestion(next(iter(words), ""), command.words)
        found = f"{command.name} takes {_either(command.words)}{known}"
    if not found and len(forms) == 1:
        given = [one.option for one in options if one.option]
        found = _about_form(forms[0], given, words[bool(forms[0].words) :])
    if not found:
        # The arguments aren't repeated: one may be a message, and a log may keep this error.
        found = "these arguments don't fit the usage"
    return f"{found}\nusage: {command.short_usage}"


def _read(command: Command, arguments: list[str]) -> tuple[list[_Given], list[str]]:
    """The options, and the words that are neither options nor their values."""
    options: list[_Given] = []
    words: list[str] = []
    left = iter(arguments)
    for word in left:
        if word == "--":
            words += left
        elif word.startswith("-") and word != "-":
            for given in _options(command, word):
                if given.option and given.option.value and not given.has_value:
                    given = given._replace(has_value=next(left, None) is not None)
                options.append(given)
        else:
            words.append(word)
    return options, words


def _options(command: Command, word: str) -> Iterator[_Given]:
    """One long option, which may be shortened as docopt allows it, or several short ones."""
    if word.startswith("--"):
        name, has_value, _ = word.partition("=")
        named = [option for option in command.options if option.name == name]
        begun = [option for option in command.options if option.name.startswith(name)]
        yield _Given(name, next(iter(named or begun), None), bool(has_value))
        return
    # Short options can stand together, as in -qv. One that takes a value takes the rest, as in
    # -p9001. Whether an unknown one takes a value is unclear, so it gets the rest, too.
    for place, letter in enumerate(word[1:], 2):
        option = next((o for o in command.options if o.short == f"-{letter}"), None)
        takes_rest = option is None or bool(option.value)
        yield _Given(f"-{letter}", option, takes_rest and place < len(word))
        if takes_rest:
            return


def _about_options(command: Command, options: list[_Given]) -> str | None:
    """What is wrong with the options themselves, whatever the form."""
    given = [one.option for one in options if one.option]
    for name, option, has_value in options:
        if option is None:
            return f"{command.name} has no option {name}{_other(command, name)}"
        if option.value and not has_value:
            return f"{option.name} needs a value: {option.usage}"
        if has_value and not option.value:
            return f"{option.name} takes no value"
        if given.count(option) > 1:
            return f"{option.name} is given more than once"
    return None


def _about_form(form: Form, options: list[Option], words: list[str]) -> str | None:
    """What is wrong if the user meant this form: excess or missing options and arguments."""
    for option in options:
        if option not in [*form.options, HELP]:
            return f"{option.name} can't be used with {' or '.join(form.words)}"
    for choice in form.exclusive:
        both = [option.name for option in choice if option in options]
        if len(both) > 1:
            return f"{' and '.join(both)} can't be used together"
    missing = [option.usage for option in form.needs if option not in options]
    missing += [a.name for a in form.arguments[len(words) :] if not a.is_optional]
    if missing:
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    is_open = any(argument.is_repeated for argument in form.arguments)
    if len(words) > len(form.arguments) and not is_open:
        return f"there is one argument too many: {words[-1]}"
    return None


def _other(command: Command, name: str) -> str:
    """An option of this command with a similar name, or other commands that have this option."""
    harmless = {o.name.lstrip("-"): o.name for o in command.options if not o.is_destructive}
    if close := _suggestion(name.lstrip("-"), harmless, "--"):
        return close
    others = [c.name for c in COMMANDS.values() if name in {o.name for o in c.options}]
    return f"; {', '.join(others)} {'has' if len(others) == 1 else 'have'} it" if others else ""


def _suggestion(word: str, known: Iterable[str], before: str = "") -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {before}{close[0]}?" if close else ""


def _either(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
