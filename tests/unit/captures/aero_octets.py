"""AERO's packets as octets, built by hand so that every field can be wrong: nothing here comes from the agents."""

import struct
from functools import cache
from ipaddress import ip_address

from synthetic_wire import ones_complement

UDP, ICMP, ICMPV6 = 17, 1, 58
PROTOCOLS = {4: 4, 6: 41}
PORTS = {"0": 8060, "2": 6080, "3": 6080}
parsed = cache(ip_address)


def ip(source, destination, protocol, body, *, ttl=64, tos=0, df=False, ident=0, flow=0, place=0, options=b""):
    """An IPv4 or IPv6 packet; `place` are the 16 bits of IPv4's flags and offset beside DF."""
    one, other = parsed(source), parsed(destination)
    if one.version == 6:
        return (
            struct.pack("!IHBB", 6 << 28 | tos << 20 | flow, len(body), protocol, ttl)
            + one.packed
            + other.packed
            + body
        )
    size, length = 20 + len(options) + len(body), 0x45 + len(options) // 4
    head = struct.pack("!BBHHHBBH", length, tos, size, ident, place | 0x4000 * df, ttl, protocol, 0)
    head += one.packed + other.packed + options
    return head[:10] + ones_complement(head).to_bytes(2, "big") + head[12:] + body


def udp(source, destination, payload, checksum=0x1234):
    return struct.pack("!HHHH", source, destination, 8 + len(payload), checksum) + payload


def icmpv6(source, destination, body):
    pseudo = parsed(source).packed + parsed(destination).packed + struct.pack("!II", len(body), ICMPV6)
    return body[:2] + ones_complement(pseudo + body).to_bytes(2, "big") + body[4:]


def echo(source, destination, ident, sequence, size, *, reply=False, ttl=64, tos=0, df=False):
    """An ICMP echo of `size` octets with its IP header."""
    six = parsed(source).version == 6
    kind = (129 if reply else 128) if six else (0 if reply else 8)
    body = struct.pack("!BBHHH", kind, 0, 0, ident, sequence) + bytes(size - (48 if six else 28))
    return ip(source, destination, ICMPV6 if six else ICMP, body, ttl=ttl, tos=tos, df=df)


def discovery(kind, source, destination, target, *options, flags=0, ttl=255):
    body = struct.pack("!BBHI", kind, 0, 0, flags << 24) + ip_address(target).packed + b"".join(options)
    return ip(source, destination, ICMPV6, icmpv6(source, destination, body), ttl=ttl)


def nonce(octets):
    return b"\x0e\x01" + octets


def mapped(address):
    return ip_address(address).packed if ":" in address else ip_address(f"::ffff:{address}").packed


def observed(address, port, size=0, encapsulation=0):
    head = b"\xfd\x04\xae\x60\x03" + bytes([encapsulation]) + port.to_bytes(2, "big")
    return head + mapped(address) + size.to_bytes(2, "big") + bytes(6)


def tllao(address, port, *, nat=False):
    return struct.pack("!BBHBBH", 2, 3, 0x0800 * nat, 1, 128, port) + mapped(address)


def _experimental(subtype, aux, number, body):
    return struct.pack("!BBHBBH", 253, 1 + len(body) // 8, 0xAE60, subtype, aux, number) + body


def token(octets):
    return _experimental(1, 0, 3, octets)


def auth():
    return _experimental(2, 1, 1, bytes(24))


def route(prefix, lifetime=300):
    base, length = prefix.split("/")
    return struct.pack("!BBBBI", 24, 2, int(length), 0, lifetime) + ip_address(base).packed[:8]


def redirected(packet):
    padded = packet + bytes(-len(packet) % 8)
    return struct.pack("!BB6x", 4, 1 + len(padded) // 8) + padded


def redirect(source, destination, target, about, *options, predirect, ttl, framing="nd", spoilt=0):
    """Predirect or Redirect as ICMPv6, or in UDP; `spoilt` changes its last octet behind the checksum's back."""
    body = struct.pack("!B3x", 0x80 * predirect) + ip_address(target).packed + ip_address(about).packed
    body += b"".join(options)
    if framing == "nd":
        packet = ip(source, destination, ICMPV6, icmpv6(source, destination, bytes((137, 0, 0, 0)) + body), ttl=ttl)
    else:
        pseudo = parsed(source).packed + parsed(destination).packed + struct.pack("!II", 12 + len(body), UDP)
        blank = udp(8060, 8060, bytes(4) + body, 0)
        datagram = udp(8060, 8060, bytes(4) + body, ones_complement(pseudo + blank) or 0xFFFF)
        packet = ip(source, destination, UDP, datagram, ttl=ttl)
    return packet[:-1] + bytes((packet[-1] ^ spoilt,))


def too_big(source, destination, mtu, quoted):
    """ICMPv6 Packet Too Big or ICMPv4 Fragmentation Needed."""
    if ip_address(source).version == 6:
        body = struct.pack("!BBHI", 2, 0, 0, mtu) + quoted
        return ip(source, destination, ICMPV6, icmpv6(source, destination, body))
    return ip(source, destination, ICMP, struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted)


def fragment(offset=0, more=False, ident=0, next_header=41, reserved=0):
    return struct.pack("!BBHI", next_header, reserved, offset | more, ident)


def option(code, data=b""):
    return struct.pack("!HH", code, len(data)) + data


def lladdr(address, port):
    """Content of DHCPv6 option 79."""
    return struct.pack("!HH", 256, port) + mapped(address)


def interface_id(address, port, *, version=1):
    """Content of the relay's Interface-ID."""
    return struct.pack("!BBH", version, 0, port) + mapped(address) + b"sealed!!"


def delegated(prefix, valid, iaid=1):
    """IA_PD with one prefix."""
    base, length = prefix.split("/")
    one = struct.pack("!IIB", 200, valid, int(length)) + ip_address(base).packed
    return option(25, struct.pack("!III", iaid, 60, 100) + option(26, one))


def message(kind, transaction, options):
    return bytes([kind]) + transaction.to_bytes(3, "big") + b"".join(options)


def relayed(kind, options, peer, hops=0, link="::"):
    return bytes([kind, hops]) + ip_address(link).packed + ip_address(peer).packed + b"".join(options)
