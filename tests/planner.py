"""Somebody who plans a network, for tests of what is generated from plans."""

from pathlib import Path

from nym.network.example import EXAMPLE
from nym.network.plan import format_plan
from tests.harness import run_program


class Planner:
    """Somebody with a plan, and a folder that is generated from it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.plan = home / "plan.toml"
        self.folder = home / "network"
        self.said = ""
        self.plan.write_text(format_plan(EXAMPLE))

    def generate(self, engine: str = "systemd") -> list[str]:
        """The lines that say what is new or has changed. What is weak is in `said`."""
        arguments = ("--for", engine, str(self.plan), str(self.folder))
        code, out, self.said = run_program(self.home, "network", "generate", *arguments)
        assert code == 0, self.said
        *lines, last = out.splitlines()
        assert last == f"{self.folder / 'README.md'} says what to do next"
        return lines

    def change(self, old: str, new: str) -> None:
        text = self.plan.read_text()
        assert text.count(old) == 1
        self.plan.write_text(text.replace(old, new))

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }
