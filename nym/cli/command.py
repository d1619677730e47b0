"""What a command is: its forms, options and arguments as data, and the help that is made of them.

Nothing is read out of a text again: --help, docopt, the manual page, the completions and what is
said of mistakes all begin here.
"""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypeVar

WIDTH = 80  # columns, as most terminals have them
_HEADING = 15  # columns of an option's name; what it does stands below a longer one

Kind = Literal["any", "client", "contact", "file", "folder"]  # what a shell can complete
Part = TypeVar("Part", "Option", "Argument")


class Option(NamedTuple):
    """An option, with what it does; `value` names its value, where it takes one.

    A destructive option is never suggested to somebody who typed something else.
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
        """As it stands in a form."""
        return f"{self.name} {self.value}".rstrip()

    @property
    def heading(self) -> str:
        """All its spellings, as docopt reads them."""
        return f"{self.short} {self.usage}".lstrip()

    @property
    def explanation(self) -> str:
        """What it does, and what counts without it."""
        return f"{self.what}; default: {self.default}" if self.default else self.what

    @property
    def grammar(self) -> str:
        """A line for docopt."""
        return f"  {self.heading}  " + f"[default: {self.default}]" * bool(self.default)


class Argument(NamedTuple):
    """What stands without an option's name before it."""

    name: str
    what: str
    kind: Kind = "any"
    is_optional: bool = False
    is_repeated: bool = False

    @property
    def usage(self) -> str:
        """As it stands in a form."""
        usage = self.name + "..." * self.is_repeated
        return f"[{usage}]" if self.is_optional else usage


class Form(NamedTuple):
    """One way to use a command: one of `words`, options that must be there, others, arguments.

    Of the options in a tuple, only one can be given.
    """

    words: tuple[str, ...] = ()
    needs: tuple[Option, ...] = ()
    takes: tuple[Option | tuple[Option, ...], ...] = ()
    arguments: tuple[Argument, ...] = ()

    @property
    def exclusive(self) -> list[tuple[Option, ...]]:
        """Options that exclude each other."""
        return [taken for taken in self.takes if not isinstance(taken, Option)]

    @property
    def options(self) -> list[Option]:
        """All that it knows."""
        options = list(self.needs)
        for taken in self.takes:
            options += [taken] if isinstance(taken, Option) else taken
        return options

    @property
    def parts(self) -> list[str]:
        """What can stand behind the command's name, in docopt's notation."""
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
    """A command; `module` has the function that carries it out, which is called like it."""

    name: str
    module: str
    summary: str  # what it does, in a line without a full stop
    forms: tuple[Form, ...] = (Form(),)
    notes: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The words that may follow its name: commands of its own, or what it is about."""
        return list(dict.fromkeys(word for form in self.forms for word in form.words))

    @property
    def options(self) -> list[Option]:
        """Those of all its forms."""
        return _once([*(option for form in self.forms for option in form.options), HELP])

    @property
    def arguments(self) -> list[Argument]:
        """Those of all its forms."""
        return _once(argument for form in self.forms for argument in form.arguments)

    @property
    def usage(self) -> str:
        """Its forms, a line or more for each."""
        return "\n".join(
            _wrapped(f"  nym-client {self.name} ", form.parts, WIDTH) for form in self.forms
        )

    @property
    def short_usage(self) -> str:
        """The forms in one line."""
        forms = (" ".join(["nym-client", self.name, *form.parts]) for form in self.forms)
        return "; or: ".join(forms)

    @property
    def grammar(self) -> str:
        """What docopt has to know."""
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
    """Names, and what they mean beside them, or below one that is too long."""
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
    """`heading`, and `parts` behind it, none of which is broken; further lines are indented."""
    lines = [heading]
    for part in parts:
        if len(lines[-1]) + len(part) > width and lines[-1].strip():
            lines.append(" " * len(heading))
        lines[-1] += f"{part} "
    return "\n".join(line.rstrip() for line in lines)


def _once(parts: Iterable[Part]) -> list[Part]:
    """Each of a name once."""
    return list({part.name: part for part in parts}.values())
