"""The description of the commands (nym/cli/usage.py): docopt, helps and errors agree with it."""

import shlex
from collections.abc import Iterator
from importlib import import_module

import docopt
import pytest

from nym.cli.command import HELP, WIDTH, Argument, Command, Form, Option
from nym.cli.mistakes import misuse
from nym.cli.usage import COMMANDS, overview

CASES = [(command, form) for command in COMMANDS.values() for form in command.forms]
NAMES = [" ".join([command.name, *form.words]) for command, form in CASES]


def lines(command: Command, form: Form) -> Iterator[tuple[list[str], list[Option]]]:
    """Valid command lines of a form, one per option of it, each with the options that it has."""
    arguments = [argument.name.lower() for argument in form.arguments]
    for word in form.words or ("",):
        base = [command.name, *filter(None, [word])]
        for option in [*form.options, None]:
            options = [*form.needs, *([option] if option and option not in form.needs else [])]
            given = [part for o in options for part in filter(None, [o.name, o.value.lower()])]
            yield [*base, *given, *arguments], options


@pytest.mark.parametrize(("command", "form"), CASES, ids=NAMES)
def test_docopt_understands_each_form_and_option(command: Command, form: Form) -> None:
    for line, given in lines(command, form):
        options = docopt.docopt(command.grammar, line, default_help=False)
        for option in set(command.options) - {HELP}:
            value = option.value.lower() if option.value else True
            default = (option.default or None) if option.value else False
            assert options[option.name] == (value if option in given else default), (
                f"docopt reads {option.name} wrongly in {line}"
            )
        for argument in form.arguments:
            name = argument.name
            assert options[name] == ([name.lower()] if argument.is_repeated else name.lower())


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_carries_it_out_is_there(command: Command) -> None:
    assert callable(getattr(import_module(command.module), command.name))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_its_help_has_all_that_it_knows_and_fits_a_terminal(command: Command) -> None:
    found = " ".join(command.help.split())
    assert found.startswith(f"{command.summary}. ")
    entries = [(option.name, option.what) for option in command.options]
    entries += [(argument.name, argument.what) for argument in command.arguments]
    for name, what in entries:
        assert f"{name} " in found
        assert f" {what}" in found
    for line in command.help.partition("Examples:")[0].splitlines():
        assert len(line) <= WIDTH
        assert line == line.rstrip()


def test_the_overview_has_a_line_for_each_command() -> None:
    said = overview().splitlines()
    for command in COMMANDS.values():
        summary = f"{command.summary[0].lower()}{command.summary[1:]}"
        assert f"  {command.name:<10}  {summary}" in said


TAKES = Command(
    "take",
    "",
    "Take",
    (
        Form(("all",), takes=(Option("--erase", "erase", short="-e", is_destructive=True),)),
        Form(
            ("some",),
            needs=(Option("--from", "where", "PLACE"),),
            takes=((Option("--left", "left"), Option("--right", "right", short="-r")),),
            arguments=(Argument("NAME", "which"), Argument("MORE", "more", is_optional=True)),
        ),
    ),
)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("take", "take takes all or some"),
        ("take sme", "take takes all or some; did you mean some?"),
        ("take some --form x a", "take has no option --form; did you mean --from?"),
        (
            "take some --port x a",
            "take has no option --port; init, tcpsocket, websocket, localnet have",
        ),
        ("take some --qr a", "take has no option --qr; address has it"),
        ("take some -m hi a", "take has no option -m\n"),
        ("take some --from", "--from needs a value: --from PLACE"),
        ("take some --from x --left=3 a", "--left takes no value"),
        ("take some --from x --left --left a", "--left is given more than once"),
        ("take some --from x --left -r a", "--left and --right can't be used together"),
        ("take some --from x -e a", "--erase can't be used with some"),
        ("take some a", "--from PLACE is missing"),
        ("take some", "--from PLACE and NAME are missing"),
        ("take some --from x", "NAME is missing"),
        ("take some --from x a b c", "there is one argument too many: c"),
        ("take all x", "there is one argument too many: x"),
        ("take all -- -x", "there is one argument too many: -x"),
    ],
)
def test_mistakes_are_named(line: str, says: str) -> None:
    arguments = shlex.split(line)
    with pytest.raises(docopt.DocoptExit):
        docopt.docopt(TAKES.grammar, arguments, default_help=False)
    said = misuse(TAKES, arguments)
    assert said.startswith(says)
    assert said.endswith(f"\nusage: {TAKES.short_usage}")


@pytest.mark.parametrize("typed", ["--eraes", "--erasee", "--ease", "--port"])
def test_what_destroys_is_never_suggested(typed: str) -> None:
    assert "did you mean" not in misuse(TAKES, ["take", "all", typed])
    assert "--force" not in misuse(COMMANDS["init"], ["init", "--id", "a", typed]).split("\n")[0]
