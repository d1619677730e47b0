"""When connections begin on this machine, as the kernel stamps the first packet of each.

That is what whoever watches a line sees of a packet of the mix network, exact to microseconds and
whatever the machine does meanwhile: the stamp is made where the packet leaves.
"""

import ctypes
import socket
import struct
import threading
from collections.abc import Collection, Sequence
from typing import Self

from benchmarks import stamps

_ALL_PROTOCOLS = 0x0003  # ETH_P_ALL, so that packets that leave are seen, too
_OUTGOING = 4  # PACKET_OUTGOING: on the loopback interface, each packet also comes in
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_BUFFER = 1 << 22  # bytes of stamps that wait for this process
_LOOK = 0.2  # seconds between two looks at whether it is over
_HEADERS = 128  # bytes: the headers of IP and TCP
# Which packets the kernel hands over (linux/filter.h; tcpdump -dd writes the same): IP packets
# (first byte 0x4.) of TCP, with SYN and without ACK. The filter sees them from the IP header on.
_SYNS = [
    (0x30, 0, 0, 0),  # ldb [0]
    (0x54, 0, 0, 0xF0),  # and #0xf0
    (0x15, 0, 7, 0x40),  # jeq #0x40, else drop
    (0x30, 0, 0, 9),  # ldb [9]
    (0x15, 0, 5, 6),  # jeq #6, else drop
    (0xB1, 0, 0, 0),  # ldxb 4*([0]&0xf)
    (0x50, 0, 0, 13),  # ldb [x+13]
    (0x54, 0, 0, 0x12),  # and #0x12
    (0x15, 0, 1, 0x02),  # jeq #2, else drop
    (0x06, 0, 0, _HEADERS),  # ret #128
    (0x06, 0, 0, 0),  # ret #0
]


class Syns:
    """Collects them for some ports of 127.0.0.1 inside the block. Raises PermissionError."""

    def __init__(self) -> None:
        self._groups: Sequence[Collection[int]] = ()  # the ports that count
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._times: dict[int, list[float]] = {}
        self._more = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._collect)

    def __enter__(self) -> Self:
        instructions = b"".join(struct.pack("HBBI", *instruction) for instruction in _SYNS)
        program = ctypes.create_string_buffer(instructions)
        # struct sock_fprog: how many instructions, and where they are.
        attached = struct.pack("HL", len(_SYNS), ctypes.addressof(program))
        self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, attached)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        stamps.ask(self._socket)
        self._socket.settimeout(_LOOK)
        self._socket.bind(("lo", _ALL_PROTOCOLS))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        self._socket.close()

    def watch(self, groups: Sequence[Collection[int]]) -> None:
        """Forget all, and collect from now on what goes to the ports of each group."""
        with self._more:
            self._groups, self._times = groups, {port: [] for ports in groups for port in ports}

    def seen(self) -> list[list[float]]:
        """The times of each group since then, in seconds, the first one first."""
        with self._more:
            return self._found()

    def next(
        self, groups: Sequence[Collection[int]], count: int, patience: float
    ) -> list[list[float]]:
        """Forget all, and wait for `count` connections to the ports of each group.

        Returns the times of each group, in seconds. Raises TimeoutError after `patience` seconds.
        """
        self.watch(groups)
        with self._more:
            if not self._more.wait_for(lambda: min(map(len, self._found())) >= count, patience):
                raise TimeoutError(f"fewer than {count} connections were seen in {patience:.0f} s")
            return [times[:count] for times in self._found()]

    def _found(self) -> list[list[float]]:
        return [sorted(at for port in ports for at in self._times[port]) for ports in self._groups]

    def _collect(self) -> None:
        while not self._is_over:
            try:
                data, ancillary, _, source = self._socket.recvmsg(_HEADERS, stamps.SPACE)
            except TimeoutError:
                continue
            at = stamps.stamp(ancillary)
            if source[2] != _OUTGOING or at is None:
                continue
            (port,) = struct.unpack_from(">H", data, 4 * (data[0] & 0xF) + 2)
            with self._more:
                if port in self._times:
                    self._times[port].append(at)
                    self._more.notify_all()
