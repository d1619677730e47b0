"""The recipes of docs/library.md, as a reader runs them: programs beside clients on a network."""

import json
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import nym
from tests.documents import ROOT, names
from tests.harness import PATIENCE, Program, beside, run_program, wait_until

pytestmark = pytest.mark.no_cover  # the time goes into programs and a network

RECIPES = ROOT / "examples" / "library"
DOCUMENT = ROOT / "docs" / "library.md"
CLIENTS = ("alice", "bob", "carol")


@contextmanager
def running(home: Path, name: str) -> Iterator[Program]:
    """A client of this name, which is ready."""
    with Program(home, "tcpsocket", "--id", name, "-p", "0") as program:
        program.line(r"on port: (\d+)$")
        yield program


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration folder of clients who know each other by name. Alice's and Bob's run."""
    home = tmp_path_factory.mktemp("home")
    with Program(home, "localnet", "-p", "0") as network:
        url = network.line(r"^directory +(http.*)$")[1]
        for name in CLIENTS:
            run_program(home, "init", "--id", name, "--directory", url)
            _, address, _ = run_program(home, "address", "--id", name)
            run_program(home, "contacts", "add", name, address.strip())
        with running(home, "alice"), running(home, "bob"):
            yield home


class Recipe(Program):
    """A recipe in a process of its own."""

    command = (sys.executable,)

    def __init__(self, home: Path, name: str, *arguments: str | Path) -> None:
        super().__init__(home, str(RECIPES / name), *map(str, arguments))


def run(home: Path, name: str, *arguments: str | Path) -> str:
    """Run a recipe, which has to succeed, and return what it prints."""
    with Recipe(home, name, *arguments) as recipe:
        code, out, err = recipe.end()
    assert (code, err) == (0, "")
    return out


def tell(home: Path, sender: str, recipient: str, text: str) -> None:
    code, _, err = run_program(home, "send", "--id", sender, "--reliable", recipient, "-m", text)
    assert (code, err) == (0, "")


def hear(home: Path, recipient: str) -> str:
    _, out, _ = run_program(home, "receive", "--id", recipient, "--count", "1", "--lines")
    return out


def status(home: Path, name: str) -> Any:
    _, out, _ = run_program(home, "status", "--id", name, "--json")
    return json.loads(out)


def test_hello(home: Path) -> None:
    assert re.fullmatch(r"I am \w+\nHello from the library!\n", run(home, "hello.py", "alice"))


def test_hello_prints_what_is_no_text(home: Path, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert run_program(home, "send", "--id", "bob", "alice", str(tmp_path / "bytes"))[0] == 0
    wait_until(lambda: status(home, "alice")["inbox"] == 1, "the message")
    assert run(home, "hello.py", "alice", "bob").endswith("\n\ufffd\ufffd\n")
    assert hear(home, "bob") == "Hello from the library!\n"


def test_hello_says_what_is_wrong(home: Path) -> None:
    with Recipe(home, "hello.py", "nobody") as recipe:
        code, out, err = recipe.end()
    assert (code, out) == (1, "")
    assert err.startswith('there is no client "nobody" in ')


def test_an_echo_service(home: Path) -> None:
    with Recipe(home, "echo.py", "bob"):
        tell(home, "alice", "bob", "is anybody there?")
        assert hear(home, "alice") == "is anybody there?\n"


def test_calls(home: Path) -> None:
    with Recipe(home, "rpc.py", "serve", "bob"):
        assert run(home, "rpc.py", "call", "alice", "bob", "add", "1", "2.5") == "3.5\n"
        assert run(home, "rpc.py", "call", "alice", "bob", "nothing") == "KeyError: 'nothing'\n"


def test_calls_outlive_what_is_no_call(home: Path) -> None:
    tell(home, "alice", "bob", "[" * 10_000)  # deeper than Python follows
    wait_until(lambda: status(home, "bob")["inbox"] == 1, "the message")
    with Recipe(home, "rpc.py", "serve", "bob"):
        assert run(home, "rpc.py", "call", "alice", "bob", "add", "1", "2.5") == "3.5\n"


def test_a_call_shows_what_is_no_answer(home: Path) -> None:
    tell(home, "bob", "alice", "meanwhile")
    wait_until(lambda: status(home, "alice")["inbox"] == 1, "the message")
    with (
        Recipe(home, "rpc.py", "serve", "bob"),
        Recipe(home, "rpc.py", "call", "alice", "bob", "upper", "a") as call,
    ):
        assert call.end() == (0, "A\n", "another message came: b'meanwhile'\n")


def test_a_help_desk(home: Path) -> None:
    wait_until(lambda: status(home, "alice")["reply_addresses"]["free"] > 0, "a reply address")
    with Recipe(home, "help_desk.py", "serve", "bob"):
        assert run(home, "help_desk.py", "ask", "alice", "bob", "Hours") == "from nine to five\n"
        assert run(home, "help_desk.py", "ask", "alice", "bob", "why?") == "nobody here knows\n"


def test_the_answer_to_an_earlier_question_is_not_taken_for_the_one_to_this(home: Path) -> None:
    wait_until(lambda: status(home, "alice")["reply_addresses"]["free"] > 0, "a reply address")
    with Recipe(home, "help_desk.py", "serve", "bob"):
        run_program(home, "send", "--id", "alice", "--reply", "bob", "-m", "earlier hours")
        wait_until(lambda: status(home, "alice")["inbox"] == 1, "the earlier answer")
        with Recipe(home, "help_desk.py", "ask", "alice", "bob", "place") as asking:
            earlier = "another message came: b'earlier from nine to five'\n"
            assert asking.end() == (0, "in the old mill\n", earlier)


def test_a_drop_box(home: Path, tmp_path: Path) -> None:
    content = bytes(range(256)) * 12  # several packets
    (tmp_path / "photo.jpg").write_bytes(content)
    box = tmp_path / "box"
    box.mkdir()
    with Recipe(home, "drop_box.py", "bob", box) as drop_box:
        shown = run(home, "send_file.py", "alice", "bob", tmp_path / "photo.jpg")
        assert shown.endswith("done\n")
        assert "packets to go" in shown
        kept = drop_box.line(r"^(.*-photo\.jpg)$")[1]
    assert Path(kept).parent == box
    assert Path(kept).read_bytes() == content


def test_a_drop_box_keeps_a_file_with_a_long_name(home: Path, tmp_path: Path) -> None:
    long = tmp_path / ("\u6f22" * 80 + ".pdf")  # more bytes than fit beside the id
    long.write_bytes(b"content")
    box = tmp_path / "box"
    box.mkdir()
    with Recipe(home, "drop_box.py", "bob", box) as drop_box:
        run(home, "send_file.py", "alice", "bob", long)
        assert Path(drop_box.line(r"^(.*\.pdf)$")[1]).read_bytes() == b"content"


def test_a_drop_box_outlives_its_client(home: Path, tmp_path: Path) -> None:
    with (
        running(home, "carol") as carol,
        Recipe(home, "drop_box.py", "carol", tmp_path) as drop_box,
    ):
        tell(home, "alice", "carol", "one")
        drop_box.line("message.txt$")
        carol.end(signal.SIGKILL)
        drop_box.logged('^the connection to the client "carol" has broken; connecting again$')
        tell(home, "alice", "carol", "two")
        with running(home, "carol"):
            drop_box.logged('^connected to the client "carol"$')
            drop_box.line("message.txt$")
    # If the acknowledgement of the first one was lost, it has the same name the second time.
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_chat_bot(home: Path) -> None:
    with Recipe(home, "chat_bot.py", "bob"):
        for said, answer in [("note buy bread", "1 noted"), ("notes", "buy bread")]:
            tell(home, "alice", "bob", said)
            assert hear(home, "alice") == f"{answer}\n"


BEFORE = """
import signal
import sys
import nym
def work_on(message: nym.Message) -> None: ...
def examples(client: nym.Connection, message: nym.Message) -> None:
"""


def test_programs_in_the_document_are_typed(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 5
    recipes = [path.read_text() for path in RECIPES.glob("*.py")]
    programs = [block for block in blocks if "import" in block]
    assert not {*recipes} - {*programs}
    parts = [textwrap.indent(block, "    ") for block in blocks if block not in programs]
    for number, text in enumerate([*programs, BEFORE + "".join(parts)]):
        (tmp_path / f"program{number}.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", *tmp_path.glob("*.py")]
    ran = beside(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert ran.returncode == 0, ran.stdout


def test_each_recipe_is_in_the_document() -> None:
    shown = {f"examples/library/{path.name}" for path in RECIPES.glob("*.py")}
    assert names(DOCUMENT) == shown


def test_the_document_tells_of_everything_that_is_public() -> None:
    document = DOCUMENT.read_text()
    methods = [name for name in vars(nym.Connection) if not name.startswith("_")]
    assert "send" in methods
    for name in [*nym.__all__, *methods]:
        assert re.search(rf"\b{name}\b", document), f"docs/library.md has nothing about {name}"
