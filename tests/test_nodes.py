"""`directory`, `mixnode` and `provider`: nodes that run by themselves, each from its own folder."""

import json
import re
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest
import requests
from gevent.event import Event

from nym.cli.homes import ALL
from nym.identity import generate_identity
from nym.net.directory import fetch_topology
from nym.nodes.keys import Keyring
from nym.nodes.mixnode import Mixnode
from nym.sphinx import Hop, create_packet
from nym.wire.addresses import NodeAddress, encode_address
from nym.wire.directory import Records
from nym.wire.keys import encode_base58
from nym.wire.sizes import PACKET_LENGTH
from tests.harness import PATIENCE, Program, free_port, run_program, wait_until

NOWHERE = "http://127.0.0.1:1"
ROLES = {role.name: role.folder for role in ALL}


class Nodes:
    """A network of nodes that run by themselves, with one folder for all of them."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.home = home
        self._stack = stack
        self.programs: dict[str, Program] = {}
        self.url = ""

    def start(self, role: str, name: str, *options: str) -> Program:
        program = self._stack.enter_context(Program(self.home, role, "--id", name, *options))
        self.programs[name] = program
        program.line(f'^Starting {role} "{name}"')
        return program

    def start_all(self) -> None:
        directory = self.start("directory", "main", "--listen", "127.0.0.1:0")
        self.url = directory.line("^directory +(http.*)$")[1]
        for layer in ("1", "2", "3"):
            self.start_mixnode(f"mix{layer}", layer)
        self.start("provider", "home", *LISTEN, "--clients", "127.0.0.1:0", *self.at)

    def start_mixnode(self, name: str, layer: str, *options: str) -> Program:
        return self.start("mixnode", name, "--layer", layer, *LISTEN, *self.at, *options)

    @property
    def at(self) -> tuple[str, str]:
        return "--directory", self.url

    def status(self, name: str) -> Mapping[str, object]:
        code, out, err = run_program(self.home, "status", "--id", name, "--json")
        assert (code, err) == (0, "")
        report: dict[str, object] = json.loads(out)
        return report

    def is_whole(self) -> bool:
        records = fetch_topology(self.url).records
        return len({node.layer for node in records.mixnodes}) == 3 and len(records.providers) > 0


LISTEN = ("--listen", "127.0.0.1:0")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with ExitStack() as stack:
        yield Nodes(tmp_path, stack)


def listed(url: str) -> Records:
    """What the directory lists, once that is something: on a busy machine, nodes post late."""
    seen: list[Records] = []

    def lists_something() -> bool:
        seen.append(fetch_topology(url).records)
        return bool(seen[-1].mixnodes or seen[-1].providers)

    wait_until(lists_something)
    return seen[-1]


def stops_at_once(home: Path, role: str, name: str) -> None:
    folder = home / "nym" / ROLES[role] / name
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(f"{role}.farewell = 0")


def test_a_network_of_nodes_carries_messages(nodes: Nodes) -> None:
    nodes.start_all()
    wait_until(nodes.is_whole)
    run_program(nodes.home, "init", "--id", "alice", "--directory", nodes.url)
    code, out, _ = run_program(nodes.home, "check", "--id", "alice")
    assert code == 0, out
    assert "came back through the network" in out
    assert ", on a sealed line" in out
    listed = json.loads(run_program(nodes.home, "list", "--json")[1])
    assert {(one["role"], one["id"], one["running"]) for one in listed} == {
        ("client", "alice", False),
        ("mixnode", "mix1", True),
        ("mixnode", "mix2", True),
        ("mixnode", "mix3", True),
        ("provider", "home", True),
        ("directory", "main", True),
    }
    table = run_program(nodes.home, "status", "--id", "mix2")[1]
    assert "\npackets " in table
    assert "announced" not in table  # it is where it listens
    for name in ("main", "mix2", "home"):
        for options in ([], ["--running"]):
            code, out, _ = run_program(nodes.home, "check", "--id", name, *options)
            assert code == 0, out
            assert "FAIL" not in out


def test_later_starts_need_no_options(nodes: Nodes) -> None:
    port = str(free_port())
    stops_at_once(nodes.home, "mixnode", "mix1")
    given = ("--layer", "2", "--listen", f"127.0.0.1:{port}", "--directory", NOWHERE)
    (nodes.home / "nym/mixnodes/mix1/config.toml").unlink()
    program = nodes.start("mixnode", "mix1", *given, "--announce", "mix.example")
    before = nodes.status("mix1")
    assert before["announced"] == "mix.example:1789"
    assert before["packets"] == f"127.0.0.1:{port}"
    table = run_program(nodes.home, "status", "--id", "mix1")[1]
    assert re.search(r"^announced +mix\.example:1789$", table, re.M)
    program.end(signal.SIGKILL)
    nodes.start("mixnode", "mix1")
    again = nodes.status("mix1")
    for key in ("key", "layer", "packets", "announced", "directories"):
        assert again[key] == before[key], key
    # Options override the file for one run, and don't change it.
    nodes.programs["mix1"].end(signal.SIGKILL)
    nodes.start("mixnode", "mix1", "--layer", "3")
    assert nodes.status("mix1")["layer"] == 3
    assert "layer = 2" in (nodes.home / "nym/mixnodes/mix1/config.toml").read_text()


def test_a_node_works_without_its_directory_and_says_so(nodes: Nodes) -> None:
    program = nodes.start("mixnode", "mix1", "--layer", "1", *LISTEN, "--directory", NOWHERE)
    program.logged("WARNING +presence at .*refused; trying again until it works")
    wait_until(lambda: nodes.status("mix1")["reason"])
    code, out, _ = run_program(nodes.home, "check", "--running", "--id", "mix1")
    assert code == 4
    assert "refused" in out
    host, _, port = str(nodes.status("mix1")["packets"]).rpartition(":")
    socket.create_connection((host, int(port))).close()


def test_a_directory_that_comes_later_is_found(nodes: Nodes) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = nodes.start("mixnode", "mix1", "--layer", "1", *LISTEN, "--directory", url)
    program.logged("WARNING +presence at ")
    nodes.start("directory", "main", "--listen", f"127.0.0.1:{port}")
    program.logged("INFO +presence at .*: works again")
    assert listed(url).mixnodes[0].layer == 1
    assert nodes.status("mix1")["reason"] is None


def test_the_first_sigterm_takes_a_node_out_in_order_and_the_second_ends_it(nodes: Nodes) -> None:
    program = nodes.start("mixnode", "mix1", "--layer", "1", *LISTEN, "--directory", NOWHERE)
    program.process.send_signal(signal.SIGTERM)
    program.logged("leaving the network; a second signal ends it at once")
    assert nodes.status("mix1")["state"] == "leaving"
    code, _, err = program.end(signal.SIGTERM)
    assert code == 0, err
    assert not (nodes.home / "nym/mixnodes/mix1/node.sock").exists()


def test_a_node_that_leaves_forwards_what_it_holds_each_packet_at_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as following:
        node = Mixnode(Keyring(None), NodeAddress("127.0.0.1", 0), 1)
        node.listen()
        places = [node.address, NodeAddress(*following.getsockname())]
        keys = [node.keys.current.public_key, generate_identity().public_key]
        route = [
            Hop(encode_address(place), key, 700_000_000)
            for place, key in zip(places, keys, strict=True)
        ]
        with socket.create_connection(node.address) as connection:
            connection.sendall(create_packet(b"hello", route, bytes(32)))
            wait_until(lambda: node.held)
            hurry = Event()
            node.leave(0.0, hurry)
            assert connection.recv(10) == b"foomp"
        assert node.held == 0
        node.stop()
        packet, _ = following.accept()
        with packet:
            assert len(packet.recv(PACKET_LENGTH, socket.MSG_WAITALL)) == PACKET_LENGTH


def test_a_node_that_leaves_takes_packets_until_clients_know() -> None:
    node = Mixnode(Keyring(None), NodeAddress("127.0.0.1", 0), 1)
    node.listen()
    hurry = Event()
    leaving = gevent.spawn(node.leave, 3600.0, hurry)
    gevent.sleep(0)
    socket.create_connection(node.address).close()
    hurry.set()
    leaving.get()
    node.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(node.address)


def test_two_programs_cannot_have_one_id_or_one_folder(nodes: Nodes) -> None:
    run_program(nodes.home, "init", "--id", "alice", "--directory", NOWHERE)
    code, _, err = run_program(nodes.home, "directory", "--id", "alice", *LISTEN)
    assert (code, err) == (
        5,
        'nym-client: there is a client "alice" already; choose another --id\n',
    )
    nodes.start("directory", "main", *LISTEN)
    code, _, err = run_program(nodes.home, "directory", "--id", "main", *LISTEN)
    assert code == 1
    assert "another nym-client is already using" in err
    code, _, err = run_program(nodes.home, "init", "--id", "main")
    assert (code, err) == (
        5,
        'nym-client: there is a directory "main" already; choose another --id\n',
    )
    code, _, err = run_program(nodes.home, "delete", "--id", "main", "--yes")
    assert (code, 'the directory "main" runs' in err) == (1, True)
    code, _, err = run_program(nodes.home, "receive", "--id", "main")
    assert (code, err) == (
        5,
        'nym-client: "main" is a directory, and this command is for clients\n',
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mixnode", "--directory", NOWHERE], "a new mixnode needs --layer N"),
        (["mixnode", "--layer", "1"], "a new mixnode needs --directory URL"),
        (["mixnode", "--layer", "5"], "--layer 5: it must be a whole number from 1 to 4"),
        (
            ["mixnode", "--layer", "1", "--directory", NOWHERE],
            "--announce HOST:PORT is missing: the node listens at every address",
        ),
        (
            ["provider", "--directory", NOWHERE, *LISTEN],
            "--announce-clients HOST:PORT is missing: the node listens at every address",
        ),
        (["directory", "--listen", "1.2.3.4.5"], "--listen 1.2.3.4.5: a place is a host, or a"),
        (["directory", "--listen", "192.0.2.1"], "this machine doesn't have that address"),
        (["directory", "--listen", "127.0.0.1:99999"], "a place is a host, or a host and a port"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_do(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    code, _, err = run_program(tmp_path, arguments[0], "--id", "new", *arguments[1:])
    assert code in (1, 2)
    assert said in err
    assert not list(tmp_path.glob("nym/*/*/config.toml"))


def test_a_port_that_is_taken_names_the_option_that_helps(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = "{}:{}".format(*taken.getsockname())
        code, _, err = run_program(tmp_path, "directory", "--id", "main", "--listen", place)
    assert code == 1
    assert "another port can be chosen with --listen" in err


def test_a_reload_takes_over_what_can_change_and_names_the_rest(nodes: Nodes) -> None:
    program = nodes.start("mixnode", "mix1", "--layer", "1", *LISTEN, "--directory", NOWHERE)
    for key, value in (("mixnode.farewell", "0"), ("mixnode.layer", "2")):
        code, _, err = run_program(nodes.home, "config", "set", "--id", "mix1", key, value)
        assert (code, err) == (0, "")
    program.process.send_signal(signal.SIGHUP)
    program.logged("INFO +mixnode.farewell is 0.0 now")
    # The option --layer overrides the file, so nothing has changed there.
    code, _, err = program.end(signal.SIGTERM)
    assert code == 0
    assert "mixnode.layer" not in err


def test_a_stopped_node_is_said_to_be_one(nodes: Nodes) -> None:
    nodes.start("directory", "main", *LISTEN).end(signal.SIGTERM)
    for command in (["status"], ["check"], ["check", "--running"]):
        code, out, err = run_program(nodes.home, *command, "--id", "main")
        assert code == 3
        said = 'the directory "main" doesn\'t run; start it with: nym-client directory --id main'
        assert said in out + err
    code, out, _ = run_program(nodes.home, "status")  # it is the only one
    assert (code, out) == (3, "")


def test_a_name_can_be_announced_and_the_port_has_a_default(nodes: Nodes) -> None:
    directory = nodes.start("directory", "main", *LISTEN)
    url = directory.line("^directory +(http.*)$")[1]
    nodes.start(
        *("provider", "home", *LISTEN, "--clients", "localhost:0", "--directory", url),
        *("--announce", "home.example", "--announce-clients", "home.example:19000"),
    )
    (provider,) = listed(url).providers
    assert (provider.mixnet_listener, provider.client_listener) == (
        "home.example:1789",
        "home.example:19000",
    )


def test_a_directory_with_a_list_takes_its_nodes_alone_and_reads_it_again(nodes: Nodes) -> None:
    allowed = nodes.home / "allowed.txt"
    allowed.write_text("# nobody yet\n")
    directory = nodes.start("directory", "main", *LISTEN, "--allow", str(allowed))
    nodes.url = directory.line("^directory +(http.*)$")[1]
    directory.line("^allowed +0 identities$")
    mixnode = nodes.start_mixnode("mix1", "1")
    mixnode.logged("403: the identity .* isn't on this directory's list")
    assert not fetch_topology(nodes.url).records.mixnodes
    assert "isn't on this directory's list" in str(nodes.status("mix1")["reason"])

    identity = str(nodes.status("mix1")["identity"])
    allowed.write_text(f"{identity}  # layer 1\n")
    directory.process.send_signal(signal.SIGHUP)
    directory.logged("lists 1 identities now")
    mixnode.logged("works again")
    (record,) = listed(nodes.url).mixnodes
    assert str(record.version).startswith(f"0.4.0+id.{identity}.since.")

    allowed.write_text("not an identity\n")
    directory.process.send_signal(signal.SIGHUP)
    directory.logged("the list of nodes stays as it was: .*line 1")
    assert listed(nodes.url).mixnodes

    allowed.write_text("")
    directory.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not fetch_topology(nodes.url).records.mixnodes)


def test_a_node_that_signs_leaves_the_directory_at_once(nodes: Nodes) -> None:
    directory = nodes.start("directory", "main", *LISTEN)
    nodes.url = directory.line("^directory +(http.*)$")[1]
    program = nodes.start_mixnode("mix1", "1")
    assert listed(nodes.url).mixnodes
    program.process.send_signal(signal.SIGTERM)
    program.logged("leaving the network")
    wait_until(lambda: not fetch_topology(nodes.url).records.mixnodes)
    assert nodes.status("mix1")["state"] == "leaving"


def test_a_client_that_knows_the_directorys_identity_uses_what_it_signed(nodes: Nodes) -> None:
    nodes.start_all()
    wait_until(nodes.is_whole)
    key, other = str(nodes.status("main")["identity"]), str(nodes.status("mix1")["identity"])
    for name, given, code in (("alice", key, 0), ("bob", other, 4)):
        made = ("init", "--id", name, "--directory", nodes.url, "--directory-key", given)
        assert run_program(nodes.home, *made)[0] == 0
        ended, out, _ = run_program(nodes.home, "check", "--id", name)
        assert ended == code, out
    assert "client.directory_key doesn't name it" in out


def test_a_node_that_has_lost_its_identity_says_so(nodes: Nodes) -> None:
    nodes.start("directory", "main", *LISTEN).end(signal.SIGTERM)
    (nodes.home / "nym/directories/main/identity.pem").unlink()
    program = nodes.start("directory", "main")
    program.logged("WARNING .*identity.pem was missing, so this node has a new identity")


def test_a_node_changes_its_key_and_clients_follow(nodes: Nodes) -> None:
    nodes.start_all()
    wait_until(nodes.is_whole)
    run_program(nodes.home, "init", "--id", "alice", "--directory", nodes.url)
    before = nodes.status("home")["key"]

    def set_times(lifetime: int, overlap: int) -> None:
        for name, seconds in (("lifetime", lifetime), ("overlap", overlap)):
            setting = (f"keys.{name}", str(seconds))
            assert run_program(nodes.home, "config", "set", "--id", "home", *setting)[0] == 0
        nodes.programs["home"].process.send_signal(signal.SIGHUP)

    def is_listed() -> bool:
        (provider,) = fetch_topology(nodes.url).records.providers
        return encode_base58(provider.public_key) == nodes.status("home")["key"]

    assert is_listed()
    set_times(1, 1)
    wait_until(lambda: nodes.status("home")["key"] != before)
    # No more: a directory lists a node's last key for ten seconds, and clients ask as rarely.
    set_times(3600, 600)
    wait_until(is_listed, "the record of the new key")
    code, out, _ = run_program(nodes.home, "check", "--id", "alice")
    assert code == 0, out


def test_limits_are_settings(nodes: Nodes) -> None:
    stops_at_once(nodes.home, "mixnode", "mix1")
    config = nodes.home / "nym/mixnodes/mix1/config.toml"
    # Several workers would share it, and each have one at least.
    config.write_text("[mixnode]\nfarewell = 0\nworkers = 1\n[limits]\nsource_connections = 1\n")
    nodes.url = NOWHERE
    program = nodes.start_mixnode("mix1", "1")
    host, _, port = str(nodes.status("mix1")["packets"]).rpartition(":")
    with (
        socket.create_connection((host, int(port))) as first,
        socket.create_connection((host, int(port))) as second,
    ):
        assert second.recv(1) == b""
        program.logged("as many connections as one source may have")
        first.sendall(bytes(10))


def test_figures_are_those_of_status(nodes: Nodes) -> None:
    nodes.url = NOWHERE
    program = nodes.start_mixnode("mix1", "1", "--metrics", "127.0.0.1:0")
    url = program.logged("figures for Prometheus are at (http://.*)")[1]
    served = requests.get(url, timeout=PATIENCE).text
    assert 'nym_node_info{role="mixnode"' in served
    assert "nym_node_packets_received_total 0" in served
    assert "figures" in nodes.status("mix1")
    out = run_program(nodes.home, "status", "--id", "mix1")[1]
    assert re.search(r"^traffic +0 received, 0 forwarded, 0 held$", out, re.MULTILINE)
    assert re.search(r"^dropped +none$", out, re.MULTILINE)
