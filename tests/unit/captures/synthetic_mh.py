"""Mobility Header messages for tests: built by scapy layers, padded and summed as spec §2.3 says."""

from functools import cache, wraps
from ipaddress import IPv6Address, IPv6Network

from captures import layers as L

ALIGN = {
    3: (8, 6), 8: (1, 0), 22: (8, 4), 23: (1, 0), 24: (1, 0), 25: (2, 0), 26: (8, 6), 27: (8, 2),
    65: (8, 4), 66: (8, 4), 67: (8, 4), 68: (8, 6), 69: (8, 6), 70: (2, 0),
}  # fmt: skip


def pad(count):
    return b"" if count == 0 else b"\0" if count == 1 else bytes([1, count - 2]) + bytes(count - 2)


def raw_mac(mac):
    return bytes.fromhex(mac.replace(":", ""))


class Built(bytes):
    """An option's octets, and its type."""

    otype = 0


def built_once(make):
    """Made-up runs send the same options again and again; to build one in scapy takes a millisecond's tenth."""

    @cache
    @wraps(make)
    def build(*arguments):
        option = make(*arguments)
        built = Built(bytes(option))
        built.otype = option.otype
        return built

    return build


@built_once
def prefix_option(kind, prefix):
    net = IPv6Network(prefix)
    return L.PrefixOption(otype=kind, plen=net.prefixlen, prefix=net.network_address.packed)


@built_once
def address_option(kind, address):
    return L.AddressOption(otype=kind, address=IPv6Address(address).packed)


@built_once
def mn_id(text):
    return L.MnIdentifier(identifier=text.encode())


@built_once
def link_layer(kind, mac):
    return L.LinkLayerOption(otype=kind, identifier=raw_mac(mac))


@built_once
def timestamp(when):
    return L.TimestampOption(seconds=int(when), fraction=int(when % 1 * 65536))


@built_once
def previous_maar(address, prefix):
    net = IPv6Network(prefix)
    return L.PreviousMaar(plen=net.prefixlen, address=IPv6Address(address).packed, prefix=net.network_address.packed)


@built_once
def octet(kind, value):
    return L.OctetOption(otype=kind, value=value)


def raw_option(kind, octets):
    return L.Option(otype=kind, olen=len(octets), data=octets)


def message(source, destination, header, options, checksum=None, payload_proto=None):
    """Octets of a message; `checksum` overrides the right one, `payload_proto` 59."""
    buf = bytes(header) if payload_proto is None else bytes([payload_proto]) + bytes(header)[1:]
    for option in options:
        x, y = ALIGN.get(option.otype, (1, 0))
        buf += pad((y - len(buf)) % x) + bytes(option)
    buf += pad(-len(buf) % 8)
    buf = buf[:1] + bytes([len(buf) // 8 - 1]) + buf[2:]
    right = L.checksum(IPv6Address(source).packed, IPv6Address(destination).packed, buf)
    value = right if checksum is None else checksum
    return buf[:4] + value.to_bytes(2, "big") + buf[6:]


def pbu(source, destination, options, sequence=1, flags=0x8210, lifetime=75, **kw):
    header = L.BindingUpdate(mhtype=5, sequence=sequence, flags=flags, lifetime=lifetime)
    return message(source, destination, header, options, **kw)


def pba(source, destination, options, sequence=1, flags=0x22, lifetime=75, status=0, **kw):
    header = L.BindingAcknowledgement(mhtype=6, status=status, sequence=sequence, flags=flags, lifetime=lifetime)
    return message(source, destination, header, options, **kw)
