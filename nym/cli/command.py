"""Describes a command as data (its forms, options and arguments), and makes its help from that.

docopt usually reads a program's options from its help text. Here it is the other way round. The
data come first, and --help, docopt's grammar, the manual page, the completions and the errors about
wrong command lines are all made from the data, so they can't contradict each other.
"""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypeVar

WIDTH = 80  # columns, as most terminals have at least
_HEADING = 15  # columns for an option's name; if it is longer, its text starts on the next line

# What a value is, so that a shell can complete it. Nothing completes "any".
Kind = Literal["any", "client", "program", "contact", "file", "folder"]
Part = TypeVar("Part", "Option", "Argument")


class Option(NamedTuple):
    """An option; `what` says what it does, and `value` names its value ("" if it takes none).

    An option that `is_destructive` is never suggested to somebody who typed something else.
    """

    name: str
    what: str
    value: str = ""
    short: str = ""
    default: str = ""
    kind: Kind = "any"
    is_destructive: bool = False

    @property
    def usage(self) -> str:
        """The long option and its value, as the usage shows them."""
        return f"{self.name} {self.value}".rstrip()

    @property
    def heading(self) -> str:
        """The short and the long spelling, as docopt reads them."""
        return f"{self.short} {self.usage}".lstrip()

    @property
    def explanation(self) -> str:
        """What it does, and its default if it has one."""
        return f"{self.what}; default: {self.default}" if self.default else self.what

    @property
    def grammar(self) -> str:
        """Its line in the text that docopt parses."""
        return f"  {self.heading}  " + f"[default: {self.default}]" * bool(self.default)


class Argument(NamedTuple):
    """A positional argument; `what` says what it means."""

    name: str
    what: str
    kind: Kind = "any"
    is_optional: bool = False
    is_repeated: bool = False

    @property
    def usage(self) -> str:
        """Its name as the usage shows it, with `...` and brackets where they apply."""
        usage = self.name + "..." * self.is_repeated
        return f"[{usage}]" if self.is_optional else usage


class Form(NamedTuple):
    """One way to use a command: one of `words`, the options it `needs` and `takes`, and arguments.

    `takes` are optional. Of options that stand together in a tuple there, only one can be given.
    """

    words: tuple[str, ...] = ()
    needs: tuple[Option, ...] = ()
    takes: tuple[Option | tuple[Option, ...], ...] = ()
    arguments: tuple[Argument, ...] = ()

    @property
    def exclusive(self) -> list[tuple[Option, ...]]:
        """The groups of options of which only one can be given."""
        return [taken for taken in self.takes if not isinstance(taken, Option)]

    @property
    def options(self) -> list[Option]:
        """All options of this form."""
        options = list(self.needs)
        for taken in self.takes:
            options += [taken] if isinstance(taken, Option) else taken
        return options

    @property
    def parts(self) -> list[str]:
        """Everything that can follow the command's name, in docopt's notation."""
        parts = list(self.words) if len(self.words) < 2 else [f"({' | '.join(self.words)})"]
        parts += [option.usage for option in self.needs]
        for taken in self.takes:
            choice = (taken,) if isinstance(taken, Option) else taken
            parts.append(f"[{' | '.join(option.usage for option in choice)}]")
        if self.arguments:
            parts += ["[--]", *(argument.usage for argument in self.arguments)]
        return parts


HELP = Option("--help", "show this", short="-h")


class Command(NamedTuple):
    """A command. The function that carries it out is in `module`, and has the command's name."""

    name: str
    module: str
    summary: str  # what it does, in one line without a full stop
    forms: tuple[Form, ...] = (Form(),)
    notes: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The words that may follow its name: subcommands, or such as `bash` after `completion`."""
        return list(dict.fromkeys(word for form in self.forms for word in form.words))

    @property
    def options(self) -> list[Option]:
        """The options of all its forms, and --help."""
        return _once([*(option for form in self.forms for option in form.options), HELP])

    @property
    def arguments(self) -> list[Argument]:
        """The arguments of all its forms."""
        return _once(argument for form in self.forms for argument in form.arguments)

    @property
    def usage(self) -> str:
        """Its forms, each on one line or more."""
        return "\n".join(
            _wrapped(f"  nym-client {self.name} ", form.parts, WIDTH) for form in self.forms
        )

    @property
    def short_usage(self) -> str:
        """All its forms on one line, for errors."""
        forms = (" ".join(["nym-client", self.name, *form.parts]) for form in self.forms)
        return "; or: ".join(forms)

    @property
    def grammar(self) -> str:
        """The text that docopt parses. It has no sentences, which docopt might take for options."""
        options = (option.grammar for option in self.options)
        return "\n".join(["Usage:", self.usage, "", "Options:", *options, ""])

    @property
    def help(self) -> str:
        """The text that --help prints."""
        blocks = [f"{self.summary}.", *(textwrap.fill(note, WIDTH) for note in self.notes)]
        blocks.append(f"Usage:\n{self.usage}")
        explained = [(argument.name, argument.what) for argument in self.arguments]
        options = [(option.heading, option.explanation) for option in self.options]
        width = _heading_width([*explained, *options])
        if explained:
            blocks.append(f"Arguments:\n{table(explained, width)}")
        blocks.append(f"Options:\n{table(options, width)}")
        blocks.append("\n".join(["Examples:", *(f"  {line}" for line in self.examples)]))
        return "\n\n".join(blocks) + "\n"


def table(entries: Iterable[tuple[str, str]], width: int = _HEADING) -> str:
    """Names, each with its explanation beside it, or below it if the name is too long."""
    return "\n".join(line for name, what in entries for line in _entry(name, what, width))


def _entry(name: str, what: str, width: int) -> Iterator[str]:
    heading = f"  {name:<{width}}  "
    if len(name) > width:
        yield f"  {name}"
        heading = " " * (width + 4)
    yield _wrapped(heading, what.split(), WIDTH)


def _heading_width(entries: list[tuple[str, str]]) -> int:
    return max(len(name) for name, _ in entries if len(name) <= _HEADING)


def _wrapped(heading: str, parts: list[str], width: int) -> str:
    """`heading` and then `parts`. Lines break between parts only; further lines are indented."""
    lines = [heading]
    for part in parts:
        if len(lines[-1]) + len(part) > width and lines[-1].strip():
            lines.append(" " * len(heading))
        lines[-1] += f"{part} "
    return "\n".join(line.rstrip() for line in lines)


def _once(parts: Iterable[Part]) -> list[Part]:
    """The parts without repetitions: one for each name."""
    return list({part.name: part for part in parts}.values())
