"""A mixnode on all processors: several processes that are one node for everybody else."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from gevent.server import StreamServer

from nym.identity import generate_identity
from nym.net.listening import listen
from nym.net.transport import send_packet
from nym.sphinx import Hop, create_packet
from nym.wire.addresses import NodeAddress, encode_address
from nym.wire.keys import decode_base58
from nym.wire.sizes import PACKET_LENGTH
from tests.harness import (
    PATIENCE,
    Program,
    for_launcher,
    free_port,
    read_all,
    run_program,
    wait_until,
)

NOWHERE = "http://127.0.0.1:1"
CONFIG = "nym/mixnodes/mix1/config.toml"
ENDED = "a worker has ended, and what it held is lost; another one takes its place"
SECOND = 1_000_000_000  # nanoseconds


class Mix:
    """A mixnode with workers, and what comes out of it."""

    def __init__(self, home: Path, stack: ExitStack, port: int) -> None:
        self.home = home
        self.address = NodeAddress("127.0.0.1", port)
        self.came: list[bytes] = []
        self._stack = stack
        server = StreamServer(("127.0.0.1", 0), self._take)
        self._next = listen(server)
        stack.callback(server.stop, timeout=0)
        (home / CONFIG).parent.mkdir(parents=True)
        self.configure("farewell = 0")
        self.start()

    def configure(self, text: str) -> None:
        (self.home / CONFIG).write_text(
            f"[mixnode]\nlayer = 1\nlisten = '{self.address}'\ndirectory = '{NOWHERE}'\n"
            f"workers = 2\n{text}\n"
        )

    def start(self, *options: str, **how: Any) -> Program:
        program = Program(self.home, "mixnode", "--id", "mix1", *options, **how)
        self.program = self._stack.enter_context(program)
        self.program.line("^packets")
        wait_until(lambda: all(self.pids()))
        return self.program

    def status(self) -> Any:
        code, out, err = run_program(self.home, "status", "--id", "mix1", "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    def table(self) -> str:
        """The same for people."""
        return run_program(self.home, "status", "--id", "mix1")[1]

    def pids(self) -> list[int]:
        return [worker["pid"] for worker in self.status()["workers"]]

    def received(self) -> list[int]:
        """How many packets came to each worker since it began."""
        return [worker.get("packets_received", 0) for worker in self.status()["workers"]]

    def figure(self, name: str) -> Any:
        return self.status()["figures"][name]

    def has(self, name: str, value: float) -> bool:
        return bool(self.figure(name) == value)

    def packets(self, count: int, delay: int = 0) -> list[bytes]:
        own, other = decode_base58(self.status()["key"]), generate_identity().public_key
        hops = ((self.address, own), (self._next, other))
        route = [Hop(encode_address(place), key, delay) for place, key in hops]
        return [create_packet(b"", route, bytes(32)) for _ in range(count)]

    def send(self, *packets: bytes) -> None:
        for packet in packets:
            send_packet(self.address, packet)

    def _take(self, connection: socket.socket, _: object) -> None:
        with connection:
            self.came.append(read_all(connection))


@pytest.fixture
def mix(tmp_path: Path) -> Iterator[Mix]:
    with ExitStack() as stack:
        yield Mix(tmp_path, stack, free_port())
    assert not list(tmp_path.glob("nym/crash-*"))


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def nursery_of(pid: int) -> int:
    """The process that has started this worker."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_all_workers_take_packets_and_their_figures_are_added_up(mix: Mix) -> None:
    sent = 0
    # Each connection goes to one of them by chance.
    while not all(mix.received()):
        mix.send(*mix.packets(20))
        sent += 20
        wait_until(partial(mix.has, "packets_forwarded", sent))
    wait_until(lambda: len(mix.came) == sent)
    assert all(len(packet) == PACKET_LENGTH for packet in mix.came)
    status = mix.status()
    assert status["figures"]["packets_received"] == sent
    assert status["figures"]["lateness_seconds"]["count"] == sent
    assert sum(mix.received()) == sent
    assert status["figures"]["workers"] == 2
    assert status["figures"]["info"]["role"] == "mixnode"
    shares = ", ".join(map(str, mix.received()))
    assert re.search(rf"^workers +2; packets that came to each: {shares}$", mix.table(), re.M)


@pytest.mark.parametrize("count", [2, 8])
def test_connections_that_last_spread_over_the_workers(mix: Mix, count: int) -> None:
    for _ in range(20):  # each time by chance: that one worker has all is as likely as 1 in 2
        before = mix.received()
        packets = mix.packets(count)
        with ExitStack() as stack:
            for packet in packets:
                connection = stack.enter_context(socket.create_connection(mix.address))
                connection.sendall(packet)
            wait_until(partial(mix.has, "packets_received", sum(before) + count))
        after = mix.received()
        if all(now > then for now, then in zip(after, before, strict=True)):
            return
    pytest.fail(f"all went to one worker: {after}")


def test_a_packet_that_is_played_back_to_another_worker_is_dropped(mix: Mix) -> None:
    (first,) = mix.packets(1)
    mix.send(first)
    wait_until(lambda: len(mix.came) == 1)
    mix.send(*[first] * 20)
    wait_until(lambda: mix.figure("packets_dropped")["replay"] == 20)
    assert all(mix.received())
    mix.program.end(signal.SIGKILL)
    mix.start()  # on the same port, at once
    mix.send(*[first] * 20)
    wait_until(lambda: mix.figure("packets_dropped")["replay"] == 20)
    assert len(mix.came) == 1


def test_a_worker_that_is_killed_is_replaced_and_the_others_go_on(mix: Mix) -> None:
    (first, *others) = mix.packets(21)
    mix.send(first, *others)
    wait_until(lambda: mix.figure("packets_forwarded") == 21)
    killed, other = mix.pids()
    os.kill(killed, signal.SIGKILL)
    mix.program.logged(ENDED)
    wait_until(lambda: all(mix.pids()) and killed not in mix.pids())
    assert other in mix.pids()
    assert mix.figure("workers_ended") == 1
    assert "; 1 ended by itself and was started again\n" in mix.table()
    mix.send(*mix.packets(20), *[first] * 10)
    wait_until(lambda: mix.figure("packets_dropped")["replay"] == 10)
    wait_until(lambda: len(mix.came) == 41)
    # What the killed one counted still counts.
    assert mix.figure("packets_received") >= 41 + 10
    code, _, err = mix.program.end(signal.SIGTERM)
    assert code == 0
    assert ENDED not in err  # it was said once


def test_no_process_is_left_when_the_first_one_is_killed(mix: Mix) -> None:
    pids = mix.pids()
    processes = [*pids, nursery_of(pids[0])]
    mix.program.process.kill()
    wait_until(lambda: not any(map(is_there, processes)))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(mix.address)


def test_a_node_that_leaves_lets_its_workers_forward_what_they_hold(tmp_path: Path) -> None:
    with ExitStack() as stack:
        mix = Mix(tmp_path, stack, free_port())
        mix.program.end(signal.SIGKILL)
        program = mix.start(start_new_session=True)
        held = mix.packets(10, delay=5 * SECOND)
        mix.send(*held)
        wait_until(lambda: mix.figure("packets_held") == 10)
        pids = mix.pids()
        # As a terminal does, and some service managers: every process gets the signal.
        os.killpg(program.process.pid, signal.SIGTERM)
        code, _, err = program.end()
        assert code == 0, err
        wait_until(lambda: len(mix.came) == 10)
        wait_until(lambda: not any(map(is_there, pids)))
        assert "takes its place" not in err


def test_a_second_signal_ends_workers_at_once(mix: Mix) -> None:
    mix.send(*mix.packets(1, delay=9 * SECOND))
    wait_until(lambda: mix.figure("packets_held") == 1)
    pids = mix.pids()
    mix.program.process.send_signal(signal.SIGTERM)
    mix.program.logged("leaving the network")
    code, _, _ = mix.program.end(signal.SIGTERM)
    assert code == 0
    wait_until(lambda: not any(map(is_there, pids)))
    assert mix.came == []


def test_workers_follow_when_keys_change(mix: Mix) -> None:
    before = mix.status()["key"]
    mix.configure("farewell = 0\n[keys]\nlifetime = 1\noverlap = 3600")
    mix.program.process.send_signal(signal.SIGHUP)
    old = mix.packets(1)
    wait_until(lambda: mix.status()["key"] != before)
    mix.send(*old, *mix.packets(20))  # for either key
    wait_until(lambda: len(mix.came) == 21)
    assert mix.figure("packets_dropped")["wrong_mac"] == 0


def test_a_reload_reaches_the_log_of_workers_which_say_once_what_is_said_once(mix: Mix) -> None:
    for _ in range(20):
        with socket.create_connection(mix.address) as connection:
            connection.sendall(bytes(PACKET_LENGTH))
            assert connection.recv(1) == b""
    wait_until(lambda: sum(mix.figure("packets_dropped").values()) == 20)
    mix.configure("farewell = 0\n[logging]\nlevel = 'debug'")
    mix.program.process.send_signal(signal.SIGHUP)
    mix.program.logged("dropped a packet: .*; this is logged only once")
    assert "only once" not in mix.program.logged("INFO +logging.level is debug now").string
    socket.create_connection(mix.address).close()
    mix.send(*mix.packets(1) * 2)
    mix.program.logged("DEBUG +.* dropped a packet that it has had before")


def test_a_node_whose_workers_cannot_be_started_any_more_ends(mix: Mix) -> None:
    pids = mix.pids()
    os.kill(nursery_of(pids[0]), signal.SIGKILL)
    mix.send(*mix.packets(5))  # those that are there go on
    wait_until(lambda: len(mix.came) == 5)
    os.kill(pids[0], signal.SIGKILL)
    code, _, err = mix.program.end()
    assert code == 1
    assert "no worker can be started any more" in err
    wait_until(lambda: not any(map(is_there, pids)))


def test_prometheus_gets_the_sum_of_all_processes(mix: Mix) -> None:
    mix.program.end(signal.SIGKILL)
    program = mix.start("--metrics", "127.0.0.1:0")
    url = program.logged("figures for Prometheus are at (http://.*)")[1]
    mix.send(*mix.packets(20))

    def served() -> dict[str, float]:
        text = requests.get(url, timeout=PATIENCE).text
        return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.M)}

    wait_until(lambda: served()["nym_node_packets_forwarded_total"] == 20)
    found = served()
    assert found["nym_node_workers"] == 2
    seconds = 0.0
    for pid in (program.pid, *mix.pids()):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    assert served()["process_cpu_seconds_total"] >= found["process_cpu_seconds_total"]
    wait_until(lambda: served()["process_cpu_seconds_total"] > 0.9 * seconds)


@for_launcher  # the standard file has a process of its own in front
def test_with_one_worker_there_is_one_process(mix: Mix) -> None:
    mix.program.end(signal.SIGKILL)
    program = Program(mix.home, "mixnode", "--id", "mix1", "--workers", "1")
    with program:
        program.line("^packets")
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
        assert children.read_text() == ""
        status = mix.status()
        assert (status["workers"], status["figures"]["workers"]) == ([], 1)
        mix.send(*mix.packets(2))
        wait_until(lambda: len(mix.came) == 2)


def test_a_port_that_is_taken_is_not_shared(mix: Mix, tmp_path: Path) -> None:
    home = tmp_path / "other"
    options = ("--layer", "1", "--listen", str(mix.address), "--directory", NOWHERE)
    code, _, err = run_program(home, "mixnode", "--id", "mix2", *options, "--workers", "2")
    assert code == 1
    assert "another port can be chosen with --listen" in err
