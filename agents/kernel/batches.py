"""Many datagrams a system call: recvmmsg(2) and sendmmsg(2), which Python's sockets do not have.

What the kernel reads and writes are arrays made once; per datagram there is an index, and nothing to allocate.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any

SLOTS = 64
"""Datagrams a call at most."""
ONE_MESSAGE = socket.CMSG_SPACE(4)
"""Octets of ancillary data with one number in it."""
SENDING, LONGEST = 160 << 10, 65 << 10
"""Octets of datagrams collected before they are sent, and of the longest one."""
LONGEST_RUN, MOST_IN_RUN = 65000, 64
"""Octets and number of datagrams given to the kernel as one."""
KEPT = 4096
"""Addresses kept in the kernel's form."""
_NAME_LENGTHS = (16, 28)
"""Octets of struct sockaddr_in, sockaddr_in6."""
_NAME, _CONTROL = max(_NAME_LENGTHS), 64
_VALUE = socket.CMSG_LEN(0) + (0 if sys.byteorder == "little" else 3)
_MSG_DONTWAIT = 0x40
_UDP, _UDP_SEGMENT = 17, 103

Address = tuple[str, int] | tuple[str, int, int, int]


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Entry(ctypes.Structure):
    _fields_ = (("header", _Header), ("length", ctypes.c_uint32))


_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg, _sendmmsg = _libc.recvmmsg, _libc.sendmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_OCTETS, _WORD = ctypes.sizeof(_Entry), ctypes.sizeof(ctypes.c_size_t)
_STEP, _STEP4 = _OCTETS // _WORD, _OCTETS // 4
_LENGTH4, _NAME_LENGTH4 = _Entry.length.offset // 4, _Header.name_length.offset // 4
_NAME_AT, _CONTROL_AT = _Header.name.offset // _WORD, _Header.control.offset // _WORD
_CONTROL_LENGTH_AT = _Header.control_length.offset // _WORD


class Arrivals:
    """Buffers that datagrams of any socket are read into."""

    def __init__(self, room: int) -> None:
        """`room`: octets of the longest datagram; what is longer is cut."""
        self._entries = (_Entry * SLOTS)()
        self._iovecs = (_Iovec * SLOTS)()
        self._data, self._names = bytearray(SLOTS * room), bytearray(SLOTS * _NAME)
        self._controls = bytearray(SLOTS * _CONTROL)
        data, names, controls = map(_place, (self._data, self._names, self._controls))
        for slot, entry in enumerate(self._entries):
            self._iovecs[slot].base, self._iovecs[slot].length = data + slot * room, room
            header = entry.header
            header.name, header.name_length = names + slot * _NAME, _NAME
            header.iov, header.iov_length = ctypes.addressof(self._iovecs[slot]), 1
            header.control, header.control_length = controls + slot * _CONTROL, _CONTROL
        self._octets = memoryview(self._entries).cast("B")
        self._words, self._sizes = self._octets.cast("I"), self._octets.cast("L")
        self._fresh = bytes(self._octets)
        self._at = ctypes.addressof(self._entries)
        whole, addresses = memoryview(self._data), memoryview(self._names)
        self._views = [whole[slot * room : (slot + 1) * room] for slot in range(SLOTS)]
        self._senders = {
            octets: [addresses[at : at + octets] for at in range(0, SLOTS * _NAME, _NAME)] for octets in _NAME_LENGTHS
        }

    def receive(self, fd: int) -> int:
        """Read what is there now, as far as it has room; how many datagrams that were.

        A pending error of the socket, e.g. that its interface went down, is cleared by having been told: 0.
        """
        self._octets[:] = self._fresh
        return max(0, int(_recvmmsg(fd, self._at, SLOTS, _MSG_DONTWAIT, None)))

    def first(self, count: int) -> Iterator[tuple[bytes, memoryview, int, int]]:
        """Of each datagram (address as the kernel writes it, octets, octets of ancillary data, the number in its first
        message).  The octets are valid until `receive` is called again, and may be written to."""
        if not count:
            return
        words, sizes, controls = self._words, self._sizes, self._controls
        senders = self._senders[words[_NAME_LENGTH4]]  # what comes to one socket has addresses of one kind
        length, control, value = _LENGTH4, _CONTROL_LENGTH_AT, _VALUE
        for slot in range(count):
            extra = sizes[control]
            yield senders[slot].tobytes(), self._views[slot][: words[length]], extra, controls[value] if extra else 0
            length, control, value = length + _STEP4, control + _STEP, value + _CONTROL


def can_run(sender: socket.socket) -> bool:
    """Whether the kernel makes many datagrams of one for this socket (UDP segmentation, Linux 4.18)."""
    try:
        sender.setsockopt(_UDP, _UDP_SEGMENT, 0)
    except OSError:
        return False
    return True


class Departures:
    """Datagrams of one socket, collected to be sent together."""

    def __init__(self, fd: int, tos_level: int, tos_kind: int, *, runs: bool = False) -> None:
        """`tos_level` and `tos_kind` name the ancillary message with the type of service."""
        self._fd = fd
        self.runs = runs
        """Give equally long datagrams to one address, and one shorter behind them, to the kernel as one, which cuts it
        again: for a socket that `can_run`, to be changed while nothing is collected."""
        self._refused = False
        self._entries = (_Entry * SLOTS)()
        self._iovecs = (_Iovec * SLOTS)()
        self._data, self._controls = bytearray(SENDING + LONGEST), bytearray(2 * ONE_MESSAGE * SLOTS)
        self._base, self._control_base = _place(self._data), _place(self._controls)
        for slot, entry in enumerate(self._entries):
            entry.header.iov, entry.header.iov_length = ctypes.addressof(self._iovecs[slot]), 1
        octets, pieces = memoryview(self._entries).cast("B"), memoryview(self._iovecs).cast("B")
        self._words, self._sizes, self._pieces = octets.cast("I"), octets.cast("L"), pieces.cast("L")
        self._tos_head = (socket.CMSG_LEN(4), tos_level, tos_kind)
        self._at = ctypes.addressof(self._entries)
        self._view = memoryview(self._data)
        self._names: dict[Address, Any] = {}
        self._slots: list[tuple[Address, int, int]] = []
        """(destination, octets of each datagram but the last, type of service) of what is collected."""
        self._fill = 0
        self._to: Address | None = None
        """Destination of the last slot."""
        self._tos = self._piece = self._whole = self._room = 0
        """Its type of service; its octets: of each datagram, of all; how many datagrams may be added to it."""

    @property
    def pending(self) -> bool:
        """Whether something is collected."""
        return bool(self._slots)

    @property
    def full(self) -> bool:
        """Whether there is no place for one more: `flush` first."""
        return self._fill > SENDING or len(self._slots) == SLOTS

    def add(self, destination: Address, octets: Sequence[Any], tos: int) -> None:
        """Collect one datagram, in parts, LONGEST octets at most."""
        fill = start = self._fill
        view = self._view
        for part in octets:
            end = fill + len(part)
            view[fill:end] = part
            fill = end
        self._fill = fill
        length = fill - start
        if self._room and 0 < length <= self._piece and tos == self._tos and destination == self._to:
            whole = self._whole + length
            if whole <= LONGEST_RUN:
                self._prolong(whole, length)
                return
        self._new_slot(destination, start, length, tos)

    def _prolong(self, whole: int, length: int) -> None:
        """The last slot is a run of so many octets now, `length` of which are its last datagram's."""
        slot, piece = len(self._slots) - 1, self._piece
        self._pieces[2 * slot + 1] = whole
        if self._whole == piece:  # it was one datagram: tell the kernel where to cut
            place, at = 2 * slot * ONE_MESSAGE, slot * _STEP
            struct.pack_into("@NiiH", self._controls, place, socket.CMSG_LEN(2), _UDP, _UDP_SEGMENT, piece)
            self._sizes[at + _CONTROL_AT] = self._control_base + place
            self._sizes[at + _CONTROL_LENGTH_AT] += ONE_MESSAGE
        self._whole = whole
        self._room = self._room - 1 if length == piece else 0

    def _new_slot(self, destination: Address, start: int, length: int, tos: int) -> None:
        slot = len(self._slots)
        name = self._names.get(destination) or self._learn(destination)
        self._slots.append((destination, length, tos))
        if self.runs and not self._refused:
            self._to, self._tos = destination, tos
            self._piece = self._whole = length
            self._room = MOST_IN_RUN - 1
        self._pieces[2 * slot], self._pieces[2 * slot + 1] = self._base + start, length
        at = slot * _STEP
        self._sizes[at + _NAME_AT], self._words[slot * _STEP4 + _NAME_LENGTH4] = name
        self._sizes[at + _CONTROL_LENGTH_AT] = 0
        if tos:
            place = (2 * slot + 1) * ONE_MESSAGE
            struct.pack_into("@Niii", self._controls, place, *self._tos_head, tos)
            self._sizes[at + _CONTROL_AT] = self._control_base + place
            self._sizes[at + _CONTROL_LENGTH_AT] = ONE_MESSAGE

    def flush(self) -> list[tuple[Address, int]]:
        """Send what is collected; (destination, errno) of each datagram that could not be sent."""
        failed: list[tuple[Address, int]] = []
        slots = self._slots
        done = 0
        while done < len(slots):
            sent = _sendmmsg(self._fd, self._at + done * _OCTETS, len(slots) - done, _MSG_DONTWAIT)
            if sent > 0:
                done += sent
                continue
            failed += self._one_by_one(done, ctypes.get_errno())
            done += 1
        slots.clear()
        self._fill = self._room = 0
        if len(self._names) > KEPT:
            self._names.clear()
        return failed

    def _one_by_one(self, slot: int, number: int) -> list[tuple[Address, int]]:
        """A slot that the kernel refused: a run may be what it refuses, its datagrams not."""
        destination, length, tos = self._slots[slot]
        whole = self._pieces[2 * slot + 1]
        if whole == length:
            return [(destination, number)]
        if number == errno.EIO:  # what the route leads to cannot sum what is cut: it would refuse them all
            self._refused = True
        failed = []
        at, base = slot * _STEP, self._pieces[2 * slot]
        self._sizes[at + _CONTROL_AT] += ONE_MESSAGE
        self._sizes[at + _CONTROL_LENGTH_AT] = ONE_MESSAGE if tos else 0
        for start in range(0, whole, length):
            self._pieces[2 * slot], self._pieces[2 * slot + 1] = base + start, min(length, whole - start)
            if _sendmmsg(self._fd, self._at + slot * _OCTETS, 1, _MSG_DONTWAIT) < 1:
                failed.append((destination, ctypes.get_errno()))
        return failed

    def _learn(self, destination: Address) -> tuple[int, int]:
        packed = push_name(destination)
        kept = ctypes.create_string_buffer(packed, len(packed))
        made = self._names[destination] = _Name((ctypes.addressof(kept), len(packed)))
        made.kept = kept
        return made


class _Name(tuple[int, int]):
    """(where, octets) of an address that stays there as long as this does."""

    kept: Any


def push_name(address: Address) -> bytes:
    """A socket address as the kernel reads it: struct sockaddr_in, sockaddr_in6."""
    if len(address) == 2:
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", address[1], socket.inet_aton(address[0]))
    host, port, flow, scope = address
    packed = struct.pack("!HI16s", port, flow, socket.inet_pton(socket.AF_INET6, host))
    return struct.pack("=H", socket.AF_INET6) + packed + struct.pack("=I", scope)


def pull_name(name: bytes) -> Address:
    """The pair of `push_name`."""
    (port,) = struct.unpack_from("!H", name, 2)
    if struct.unpack_from("=H", name)[0] == socket.AF_INET:
        return socket.inet_ntoa(name[4:8]), port
    flow, packed = struct.unpack_from("!I16s", name, 4)
    return socket.inet_ntop(socket.AF_INET6, packed), port, flow, struct.unpack_from("=I", name, 24)[0]


def _place(buffer: bytearray) -> int:
    """Where a buffer is; it must not be resized from now on."""
    return ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer))
