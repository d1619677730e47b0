"""contacts.toml: names, and several who change them at the same time."""

import codecs
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from nym import files
from nym.contacts import (
    FILE,
    Contact,
    add_contact,
    find_recipient,
    load_contacts,
    remove_contact,
    rename_contact,
)
from nym.errors import ConfigError, ContactError, LockedError
from nym.identity import generate_identity
from nym.wire.keys import encode_base58
from tests.harness import Program, run_program

BOBS, CAROLS = generate_identity().public_key, generate_identity().public_key
BOB, CAROL = encode_base58(BOBS), encode_base58(CAROLS)


def test_contacts_are_kept_for_their_owner_alone(tmp_path: Path) -> None:
    add_contact(tmp_path / "nym", "bob", Contact(BOBS, is_plain=True))
    path = tmp_path / "nym" / FILE
    assert path.stat().st_mode & 0o777 == 0o600
    again = load_contacts(tmp_path / "nym")
    assert again.find("bob") == Contact(BOBS, is_plain=True)
    assert again.find(encode_base58(CAROLS)) == Contact(CAROLS)
    assert again.name_of(BOBS) == "bob"
    assert again.name_of(CAROLS) is None


# Random values have names that are fixed: every worker has to know a test by the same one.
@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "a\n", ".", "x" * 101, pytest.param(BOB, id="address")]
)
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(ContactError, match="can't be a name"):
        add_contact(tmp_path, name, Contact(BOBS))


def test_a_name_is_never_taken_from_its_address_by_the_way(tmp_path: Path) -> None:
    add_contact(tmp_path, "bob", Contact(BOBS))
    add_contact(tmp_path, "bob", Contact(BOBS, is_plain=True))
    with pytest.raises(ContactError, match="nym-client contacts rename bob NEW"):
        add_contact(tmp_path, "bob", Contact(CAROLS))
    remove_contact(tmp_path, "bob")
    with pytest.raises(ContactError, match='no contact is called "bob"'):
        remove_contact(tmp_path, "bob")


@pytest.mark.parametrize(
    "text",
    [
        f'# people\n[bob] # a friend\naddress = "{BOB}" # by phone\n# the end\n',
        f'bob = {{address = "{BOB}"}} # a friend\ncarol = {{address = "{CAROL}", plain = true}}\n',
        f'["bob"]\naddress = "{BOB}"\n\n[carol]\naddress = "{CAROL}"\n',
        f'bob.address = "{BOB}"\n',
    ],
    ids=["a table", "inline", "in quotes", "dotted"],
)
def test_a_contact_that_is_renamed_stays_what_and_where_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    before = load_contacts(tmp_path).known
    rename_contact(tmp_path, "bob", "robert")
    after = load_contacts(tmp_path).known
    assert after == {name.replace("bob", "robert"): before[name] for name in before}
    assert list(after) == [name.replace("bob", "robert") for name in before]
    for comment in re.findall("#.*", text):
        assert comment in (tmp_path / FILE).read_text()


def test_a_name_that_is_taken_or_missing_is_not_renamed(tmp_path: Path) -> None:
    add_contact(tmp_path, "bob", Contact(BOBS))
    add_contact(tmp_path, "carol", Contact(CAROLS))
    before = (tmp_path / FILE).read_text()
    for name, new, says in [
        ("bob", "carol", "carol is already the name of"),
        ("dave", "david", 'no contact is called "dave"'),
        ("bob", "a b", "can't be a name"),
    ]:
        with pytest.raises(ContactError, match=says):
            rename_contact(tmp_path, name, new)
    rename_contact(tmp_path, "bob", "bob")
    assert (tmp_path / FILE).read_text() == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "isn't valid TOML"),
        ("bob = 3", "line 1: a contact has an address"),
        ("# mine\n[bob]", "line 2: a contact has"),
        ("[bob]\naddress = 3", "line 1: "),
        ('[bob]\naddress = "x"', "line 1: "),
        ("\xff", "not UTF-8"),
        ("\xff\xfe[\0", "UTF-16"),
        ("#" * (1 << 20) + "\n", "more than"),
        ("a = " + "[" * 100_000, "nested"),
    ],
)
def test_a_damaged_file_of_contacts_is_an_error(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=says):
        load_contacts(tmp_path)
    with pytest.raises(ConfigError, match=says):
        add_contact(tmp_path, "carol", Contact(CAROLS))
    assert (tmp_path / FILE).read_text(encoding="latin-1") == text


OWN = f'# friends\r\n[bob]\r\naddress = "{BOB}" # work\r\n'


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_editors_may_write_a_byte_order_mark_and_their_line_ends(
    tmp_path: Path, mark: bytes
) -> None:
    (tmp_path / FILE).write_bytes(mark + OWN.encode())
    assert load_contacts(tmp_path).known == {"bob": Contact(BOBS)}
    add_contact(tmp_path, "carol", Contact(CAROLS))
    remove_contact(tmp_path, "carol")
    add_contact(tmp_path, "al", Contact(b"a" * 32))
    assert (tmp_path / FILE).read_bytes().startswith(OWN.encode())
    assert load_contacts(tmp_path).known.keys() == {"bob", "al"}


def test_whether_messages_are_plain_goes_by_the_address(tmp_path: Path) -> None:
    add_contact(tmp_path, "bob", Contact(BOBS))
    add_contact(tmp_path, "rob", Contact(BOBS, is_plain=True))
    contacts = load_contacts(tmp_path)
    assert contacts.find(BOB).is_plain
    assert not contacts.find(CAROL).is_plain
    assert contacts.is_plain(BOBS)


@pytest.mark.parametrize(
    "broken", [f'[bob]\naddress = "{BOB}"\n['.encode(), b"\xff\xfe"], ids=["begun", "no text"]
)
def test_a_broken_file_matters_for_names_and_for_addresses_in_it(
    tmp_path: Path, broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(broken + (BOB.encode("utf-16-le") if broken[0] > 127 else b""))
    assert find_recipient(tmp_path, CAROL, is_manner_given=False) == Contact(CAROLS)
    assert FILE in caplog.text
    assert find_recipient(tmp_path, BOB, is_manner_given=True) == Contact(BOBS)
    with pytest.raises(ConfigError, match="--plain or --reliable"):
        find_recipient(tmp_path, BOB, is_manner_given=False)
    with pytest.raises(ConfigError, match=FILE):
        find_recipient(tmp_path, "bob", is_manner_given=True)


def test_commands_at_the_same_time_lose_no_contact(tmp_path: Path) -> None:
    folder = tmp_path / "nym"
    for number in range(3):
        add_contact(folder, f"old{number}", Contact(bytes([number]) * 32))
    commands = [["add", f"new{number}", BOB] for number in range(7)]
    commands += [["remove", f"old{number}"] for number in range(3)]
    with ExitStack() as stack:
        programs = [
            stack.enter_context(Program(tmp_path, "contacts", *command)) for command in commands
        ]
        assert [program.end()[0] for program in programs] == [0] * 10
    assert load_contacts(folder).known.keys() == {f"new{number}" for number in range(7)}
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_a_lock_is_waited_for_with_a_word(tmp_path: Path) -> None:
    folder = tmp_path / "nym"
    folder.mkdir()
    with Program(tmp_path, "contacts", "add", "bob", BOB) as program:
        with files.locked(folder):
            program.logged(r"waiting for process \d+ \(.+\), which has locked")
            assert not (folder / FILE).exists()
        assert program.end()[0] == 0
    assert load_contacts(folder).find("bob") == Contact(BOBS)


def test_a_lock_that_is_never_free_is_an_error_that_names_who_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LOCK_PATIENCE", 0.1)
    says = rf"process {os.getpid()} \(.*nothing was changed"
    with files.locked(tmp_path), pytest.raises(LockedError, match=says):
        add_contact(tmp_path, "bob", Contact(BOBS))
    add_contact(tmp_path, "bob", Contact(BOBS))


def test_a_process_that_is_killed_leaves_no_lock(tmp_path: Path) -> None:
    holder = "import sys, pathlib, time; from nym import files\n"
    holder += f"with files.locked(pathlib.Path({str(tmp_path)!r})): print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"1\n"
        process.kill()
    add_contact(tmp_path, "bob", Contact(BOBS))


def test_the_program_lets_go_of_a_lock_at_once(tmp_path: Path) -> None:
    """Without that, gevent closes a folder when its loop turns again, which may be never."""
    script = (
        "import pathlib, sys\n"
        "from nym import __main__, files\n"
        "import gevent; gevent.get_hub()\n"
        "for _ in range(2):\n"
        "    with files.locked(pathlib.Path(sys.argv[1])): pass\n"
        "    assert files._holder(pathlib.Path(sys.argv[1])) == 'another process'\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match=rf"{FILE} can't be changed: Permission denied"):
        add_contact(tmp_path, "bob", Contact(BOBS))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "nym").write_text("in the way")
    code, _, err = run_program(tmp_path, "contacts", "add", "bob", BOB)
    assert code == 5
    assert f"{tmp_path}/nym/{FILE} can't be changed: " in err


def test_what_no_client_can_have_as_its_address_is_only_added_as_plain(tmp_path: Path) -> None:
    impossible = encode_base58(bytes(32))  # zero is no public key
    code, _, err = run_program(tmp_path, "contacts", "add", "bob", impossible)
    assert (code, err.count("\n")) == (2, 1)
    assert "no client can have this address; check it for typing errors" in err
    assert run_program(tmp_path, "contacts", "list")[1] == ""
    assert run_program(tmp_path, "contacts", "add", "--plain", "bob", impossible)[0] == 0
    assert run_program(tmp_path, "contacts", "list")[1] == f"bob  {impossible}  plain\n"
