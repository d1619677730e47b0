"""config.toml."""

import codecs
import json
import re
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.config import DEFAULT_DIRECTORY, SETTINGS, ClientSettings, Config, SocketSettings
from nym.config.checks import check_directory, check_host, check_id, place_of
from nym.config.file import (
    CONFIG_FILE,
    change_setting,
    load_config,
    load_settings,
    remove_setting,
    save_config,
    settings_in_file,
)
from nym.config.nodes import DirectoryConfig, MixnodeConfig, ProviderConfig
from nym.config.setting import (
    Sections,
    Value,
    defaults_for,
    settings_of,
    values_of,
    with_values,
)
from nym.config.text import change_text, format_config, line_of, parse_config, parse_toml
from nym.errors import ConfigError
from tests.harness import Program, run_program

NODES = {
    key: setting
    for kind in (MixnodeConfig, ProviderConfig, DirectoryConfig)
    for key, setting in settings_of(kind).items()
    if setting.section != "logging"
}


def parsed(text: str) -> Config:
    return parse_config(text, "some.toml", Config())


def test_what_is_written_is_read_back_and_has_a_comment_for_each_key(tmp_path: Path) -> None:
    config = Config(
        client=ClientSettings(id="alice", directory="https://dir.example/nym"),
        socket=SocketSettings(
            port=0, allowed_origins=["https://a.example", "https://b.example:8443"]
        ),
    )
    save_config(config, tmp_path)
    assert load_config(tmp_path) == config
    text = (tmp_path / "config.toml").read_text()
    for line in text.splitlines():
        assert not line or line.startswith("[") or " # " in line
    assert settings_in_file(tmp_path) == SETTINGS.keys() == values_of(config).keys()


def test_every_key_is_optional(tmp_path: Path) -> None:
    assert load_config(tmp_path) == Config(client=ClientSettings(id=tmp_path.name))
    assert parsed("") == Config()
    assert parsed("[traffic]\nfetch_message_delay = 2").traffic.fetch_message_delay == 2.0


def test_the_contract_of_the_design() -> None:
    config = parsed(format_config(Config()))
    assert config == Config()
    assert config.client.directory == ""
    assert config.client.directories == ["http://127.0.0.1:8080"]
    assert config.client.provider_patience == 600
    assert config.socket == SocketSettings("127.0.0.1", 9001, [], plain=False)
    traffic = config.traffic
    assert traffic.average_packet_delay == 0.1
    assert traffic.message_sending_average_delay == traffic.loop_cover_traffic_average_delay == 0.5
    assert (traffic.fetch_message_delay, traffic.topology_refresh_rate) == (0.4, 10)
    assert config.privacy.seal is True
    assert config.client.reliable is False
    assert config.client.message_lifetime == 604800
    assert config.socket.plain is False
    assert config.logging.level == "info"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[client]\nid = 'a'\n\nfoo = 1", 4, "unknown key foo"),
        ("\n\n[nonsense]\nid = 1", 3, r"unknown section \[nonsense\]"),
        ("client = 3", 1, "write \\[client\\]"),
        ("client.port = 3", 1, "unknown key port"),
        ("[traffic]\nfetch_message_delay = 'x'", 2, "it must be a number"),
        ("[traffic]\n# port\naverage_packet_delay = -1.0", 3, "from 0"),
        ("[traffic]\nmessage_sending_average_delay = 0", 2, "more than 0"),
        ("[traffic]\nmessage_sending_average_delay = nan", 2, "more than 0"),
        ("[socket]\nport = 65536", 2, "from 0 to 65535"),
        ("[socket]\nport = true", 2, "a whole number"),
        ("[socket]\nconnections = 0", 2, "connections is from 1 to"),
        ("[socket]\nallowed_origins = [1]", 2, "origins"),
        ("[client]\nid = ''\n[socket]\nport = 1", 2, "an id"),
        (f"[client]\nid = '{'雪' * 86}'", 2, "at most 255 bytes"),
        ("[client]\ndirectory = 'ftp://x'", 2, "such as http"),
        ("[client]\ndirectory = 'http://x/\ty'", 2, "no white space"),
        ("[client]\ndirectory = 'http://x/, y'", 2, "y: a directory is named by a URL"),
        ("[client]\ndirectory = ' , '", 2, "1 to 10 directories"),
        (f"[client]\ndirectory = '{' '.join(f'http://{i}' for i in range(11))}'", 2, "1 to 10"),
        ("[client]\ndirectory_key = 'abc'", 2, "32 bytes"),
        ("[client]\nlayers = -1", 2, "a network has 1 to"),
        ("[client]\nprovider = 'abc'", 2, "32 bytes"),
        ("[privacy]\nseal = false\n[client]\nreliable = true", 4, "sealed"),
        ("[logging]\nlevel = 'loud'", 2, "debug, info"),
        ("[client\n", 1, "TOML"),
        ('[client]\nid = """a\\\n[socket]\\\nport = 0\\\n"""\n[socket]\nport = -1', 7, "from 0"),
        ("[socket]\nhost = 'port=1'\nport = -1", 3, "from 0"),
        ("[socket]\nallowed_origins = [\n  'https://a.example',\n  1,\n]", 2, "a list of texts"),
        ('socket = { host = "x", port = -1 }', 1, "from 0"),
        ('[socket]\n"port" = -1', 2, "from 0"),
        ("[socket]\r\n\r\nport = -1\r\n", 3, "from 0"),
        ("[socket]\nplain = true\n[client]\nreliable = true", 4, "socket.plain is true"),
    ],
)
def test_errors_name_the_line(text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parsed(text)
    assert "some.toml" in str(caught.value)
    assert f"line {line}" in str(caught.value)


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 10_000])
def test_what_the_parser_cannot_take_is_no_toml(text: str) -> None:
    with pytest.raises(ConfigError, match="is no TOML"):
        parsed(text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_bytes(b"[client]\nid = '\xff'\n")
    with pytest.raises(ConfigError, match=r"config\.toml can't be read: it is not UTF-8"):
        load_config(tmp_path)


@given(st.lists(st.sampled_from(["", "# c", "a = 1", "b = [", "]", 'c = """', '"""', "[s]"])))
def test_the_line_of_a_key_is_where_the_shortest_beginning_defines_it(lines: list[str]) -> None:
    try:
        tables = parse_toml("\n".join(lines))
    except ValueError:
        return
    for section, table in tables.items():
        for path in [(section, key) for key in table] if isinstance(table, dict) else [(section,)]:
            line = line_of("\n".join(lines), *path)
            assert path[-1] in lines[line - 1]


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_refused(text: str) -> None:
    try:
        parsed(text)
    except ConfigError as error:
        assert str(error)


def test_the_tables_in_the_docs_are_right() -> None:
    text = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `(\w+\.\w+)` \| (.*?) ?\| (yes|) ?\| (.+) \|$", text, re.MULTILINE)
    known = SETTINGS | NODES
    # What nodes and clients, or two kinds of nodes, have in common is listed once.
    assert [key for key, *_ in rows] == list(known)
    for key, default, reload, _ in rows:
        assert (reload == "yes") == known[key].is_reloadable, key
        if not key.endswith(".id"):
            expected = known[key].default
            is_written = default.strip("`") == (json.dumps(expected).strip('"[]'))
            assert is_written or float(default) == expected, key


@pytest.mark.parametrize("kind", [MixnodeConfig, ProviderConfig, DirectoryConfig])
def test_nodes_have_a_file_as_clients_have(tmp_path: Path, kind: type[Sections]) -> None:
    config = defaults_for(kind, tmp_path.name)
    save_config(config, tmp_path)
    assert load_settings(tmp_path, kind) == config
    section = next(iter(settings_of(kind))).partition(".")[0]
    change_setting(tmp_path, f"{section}.listen", "[::1]:7", kind)
    changed = load_settings(tmp_path, kind)
    assert changed == with_values(config, {f"{section}.listen": "[::1]:7"})
    with pytest.raises(ConfigError, match=r"there is no setting client.id"):
        change_setting(tmp_path, "client.id", "x", kind)
    (tmp_path / CONFIG_FILE).write_text("[client]\n")
    with pytest.raises(ConfigError, match=r"unknown section \[client\]"):
        load_settings(tmp_path, kind)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.7", ("192.0.2.7", 7)),
        ("192.0.2.7:80", ("192.0.2.7", 80)),
        ("mix.example", ("mix.example", 7)),
        ("mix.example:0", ("mix.example", 0)),
        ("2001:db8::1", ("2001:db8::1", 7)),
        ("[2001:db8::1]", ("2001:db8::1", 7)),
        ("[2001:db8::1]:80", ("2001:db8::1", 80)),
    ],
)
def test_places(text: str, place: tuple[str, int]) -> None:
    assert place_of(text, 7) == place


@pytest.mark.parametrize(
    "text", ["", ":80", "a:b", "1.2.3.4:65536", "2001:db8::1:99999", "a b", "fe80::1%lo", "a/b:1"]
)
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(ValueError, match="a place is a host, or a host and a port"):
        place_of(text, 7)


@pytest.mark.parametrize("good", ["alice", "a.b", "Ünïcode", "a b", "x" * 100])
def test_ids(good: str) -> None:
    check_id(good)


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "-a", "a\0", "a\nb", "x" * 101])
def test_what_is_no_id(bad: str) -> None:
    with pytest.raises(ValueError, match="an id"):
        check_id(bad)


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[fe80::1%eth0]", "fe80::1%eth0"),
        ("unix:/run/[1].sock", "unix:/run/[1].sock"),
    ],
)
def test_hosts(host: str, meant: str) -> None:
    assert parsed(f'[socket]\nhost = "{host}"').socket.host == meant


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "unix:",
        "unix:~nobody-has-this/x",
        "a b",
        "[::1",
        "::1]",
        "[127.0.0.1]",
        "127.0.0.1:1",
        "[::1]:9001",
        "x:1",
    ],
)
def test_what_is_no_host(bad: str) -> None:
    with pytest.raises(
        ValueError, match=r"a host is a name or an IP address, without a port|the home folder"
    ):
        check_host(bad)


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
@pytest.mark.parametrize("command", ["tcpsocket", "websocket"])
def test_an_ipv6_address_may_be_in_brackets(tmp_path: Path, command: str, host: str) -> None:
    run_program(tmp_path, "init", "--id", "alice", "--directory", "http://127.0.0.1:1")
    options = ["--id", "alice", "--port", "0", "--listen", host]
    with Program(tmp_path, command, *options) as client:
        port = int(client.line(r" on port: (\d+)$")[1])
        socket.create_connection(("::1", port)).close()
        code, _, log = client.end(signal.SIGTERM)
    assert code == 0
    assert "can be reached from other machines" not in log


@pytest.mark.parametrize(
    "bad",
    ["", "directory", "http://", "http://x:99999", "http://x:0", "http://x/?a", "file:///etc"],
)
def test_what_is_no_directory(bad: str) -> None:
    with pytest.raises(ValueError, match=r"directory|[Pp]ort"):
        check_directory(bad)


# As it was written before a directory that was named could be told from the default.
EARLIER = """\
[client]
id = "alice"                                   # the name of this folder
directory = "http://127.0.0.1:8080"            # with this default, and nothing there, a local \
network is started inside the client
provider = ""                                  # base58; empty: one is chosen and kept
"""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (format_config(Config()), ""),
        ("", ""),
        ('[client]\ndirectory = ""', ""),
        ('[client]\ndirectory = "http://127.0.0.1:8080"', DEFAULT_DIRECTORY),
        ('[client]\ndirectory = "http://127.0.0.1:8080" # mine', DEFAULT_DIRECTORY),
        (EARLIER, ""),
        (EARLIER.replace("127.0.0.1:8080", "192.0.2.1:80"), "http://192.0.2.1:80"),
        (EARLIER.replace("\n", "\r\n"), ""),
    ],
)
def test_a_directory_that_was_named_is_told_from_the_default(text: str, named: str) -> None:
    assert parsed(text).client.directory == named


@pytest.mark.parametrize("text", [EARLIER, format_config(Config()), ""])
def test_to_set_a_directory_names_it(tmp_path: Path, text: str) -> None:
    (tmp_path / CONFIG_FILE).write_text(text)
    for named in (DEFAULT_DIRECTORY, "", DEFAULT_DIRECTORY):
        change_setting(tmp_path, "client.directory", named)
        assert load_config(tmp_path).client.directory == named


OWN = """\
# mine
[socket]
port = 9001   # as ever

[client]
id = "alice"
"""


def test_a_setting_is_changed_and_all_else_left_alone(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text(OWN)
    change_setting(tmp_path, "socket.port", "9100")
    change_setting(tmp_path, "traffic.fetch_message_delay", "1")
    change_setting(tmp_path, "client.directory", "http://127.0.0.1:1")
    text = (tmp_path / CONFIG_FILE).read_text()
    assert text.startswith("# mine\n[socket]\nport = 9100   # as ever\n")
    config = load_config(tmp_path)
    assert config.traffic.fetch_message_delay == 1.0
    assert config.client.directory == "http://127.0.0.1:1"
    assert settings_in_file(tmp_path) == {
        "socket.port",
        "client.id",
        "client.directory",
        "traffic.fetch_message_delay",
    }


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("socket.port", "99999", "from 0 to 65535"),
        ("socket.port", "x", "a whole number"),
        ("socket.port", "1\n[x]", "a whole number"),
        ("client.reliable", "yes", "true or false"),
        ("traffic.fetch_message_delay", "0", "more than 0"),
        ("socket.allowed_origins", "https://chat.example", "a list"),
        ("client.provider", "l", "a key in base58"),
        ("socket", "1", "there is no setting socket; "),
        ("socket.prot", "1", "there is no setting socket.prot; did you mean socket.port?"),
        ("", "", "there is no setting"),
    ],
)
def test_a_setting_that_makes_no_sense_changes_nothing(
    tmp_path: Path, name: str, value: str, says: str
) -> None:
    (tmp_path / CONFIG_FILE).write_text(OWN)
    with pytest.raises(ConfigError, match=says):
        change_setting(tmp_path, name, value)
    assert (tmp_path / CONFIG_FILE).read_text() == OWN


@pytest.mark.parametrize("key", ["socket.port", "client.directory", "logging.level"])
def test_a_setting_that_is_removed_has_its_default_again(tmp_path: Path, key: str) -> None:
    (tmp_path / CONFIG_FILE).write_text(OWN)
    before = load_config(tmp_path)
    remove_setting(tmp_path, key)
    assert key not in settings_in_file(tmp_path)
    assert load_config(tmp_path) == with_values(before, {key: SETTINGS[key].default})
    left = (tmp_path / CONFIG_FILE).read_text()
    assert set(left.splitlines()) <= set(OWN.splitlines())
    remove_setting(tmp_path, key)
    assert (tmp_path / CONFIG_FILE).read_text() == left
    with pytest.raises(ConfigError, match="there is no setting"):
        remove_setting(tmp_path, "socket.prot")


FORMS = [
    "# only a comment",
    'client.id = "a"\nsocket.port = 1\n',
    'client = { id = "a" }\n[traffic]\n',
    'socket = {port = 1, host = "x"} # here\n[client]\n"id" = \'b\'',
    'socket.port = 1\nclient.reliable = false\nsocket.host = "x"\n',
    "[socket]\nport = 0x10\nallowed_origins = [\n  'https://a.example',\n] # mine\n[client]",
]


@pytest.mark.parametrize("text", FORMS)
@pytest.mark.parametrize(
    ("key", "value", "after"),
    [
        ("client.id", "bob", "bob"),
        ("socket.port", "9", 9),
        ("socket.allowed_origins", '["https://b.example"]', ["https://b.example"]),
        ("traffic.fetch_message_delay", "2", 2.0),
    ],
)
def test_a_file_of_any_form_is_changed_in_one_place(
    text: str, key: str, value: str, after: Value
) -> None:
    changed = change_text(text, key, value, Config)
    assert values_of(parsed(changed)) == values_of(parsed(text)) | {key: after}
    assert ("#" in changed) == ("#" in text)


def test_commands_at_the_same_time_lose_no_setting(tmp_path: Path) -> None:
    folder = tmp_path / "nym" / "clients" / "alice"
    folder.mkdir(parents=True)
    (folder / CONFIG_FILE).write_text(OWN)
    wanted = {key: "17" for key, setting in SETTINGS.items() if isinstance(setting.default, float)}
    assert len(wanted) >= 7
    with ExitStack() as stack:
        programs = [
            stack.enter_context(Program(tmp_path, "config", "set", "--id", "alice", key, value))
            for key, value in wanted.items()
        ]
        assert [program.end()[0] for program in programs] == [0] * len(wanted)
    values = values_of(load_config(folder))
    assert {key: values[key] for key in wanted} == dict.fromkeys(wanted, 17.0)


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_editors_may_write_a_byte_order_mark_and_their_line_ends(
    tmp_path: Path, mark: bytes
) -> None:
    content = OWN.replace("\n", "\r\n").encode()
    (tmp_path / CONFIG_FILE).write_bytes(mark + content)
    assert load_config(tmp_path).client.id == "alice"
    change_setting(tmp_path, "socket.port", "9100")
    assert (tmp_path / CONFIG_FILE).read_bytes() == content.replace(b"9001", b"9100")


@pytest.mark.parametrize("text", [None, ""])
def test_a_setting_is_changed_also_where_there_was_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / CONFIG_FILE).write_text(text)
    change_setting(tmp_path, "socket.port", "1")
    assert load_config(tmp_path).socket.port == 1
