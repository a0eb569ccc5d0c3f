-- AERO: fields one can filter by, and what can be wrong (fact sheet AERO, §2 and §6). They belong to roamlab.aero.

if not ... then
    return -- run by Wireshark itself, which runs every file of its plugin folder: roamlab.lua loads this one
end

local aero = {
    code = ProtoField.string("roamlab.aero.code", "Encapsulation code"),
    gue_protocol = ProtoField.uint8("roamlab.aero.gue.protocol", "GUE protocol"),
    next_header = ProtoField.uint8("roamlab.aero.fragment.next_header", "Next header"),
    reserved = ProtoField.uint8("roamlab.aero.fragment.reserved", "Reserved"),
    offset = ProtoField.uint16("roamlab.aero.fragment.offset", "Offset (octets)", base.DEC),
    more = ProtoField.bool("roamlab.aero.fragment.more", "More fragments", 16, nil, 0x0001),
    identification = ProtoField.uint32("roamlab.aero.fragment.id", "Identification", base.HEX),
    inner_size = ProtoField.uint16("roamlab.aero.inner_size", "Inner packet (octets)", base.DEC),
    padding = ProtoField.uint16("roamlab.aero.padding", "Padding behind it (octets)", base.DEC),
    part = ProtoField.bytes("roamlab.aero.part", "Part of the inner packet", base.SPACE),
    message = ProtoField.string("roamlab.aero.nd", "Neighbor Discovery"),
    target = ProtoField.ipv6("roamlab.aero.nd.target", "Target"),
    option = ProtoField.uint8("roamlab.aero.option", "Option type", base.DEC),
    subtype = ProtoField.uint8("roamlab.aero.option.subtype", "Subtype", base.DEC),
    encapsulation = ProtoField.uint8("roamlab.aero.lladdr.encapsulation", "Encapsulation", base.DEC),
    nat = ProtoField.bool("roamlab.aero.lladdr.nat", "Behind a NAT", 8, nil, 0x08),
    link_id = ProtoField.uint8("roamlab.aero.lladdr.link_id", "Link id", base.DEC),
    preference = ProtoField.uint8("roamlab.aero.lladdr.preference", "Preference", base.DEC),
    port = ProtoField.uint16("roamlab.aero.lladdr.port", "UDP port", base.DEC),
    address = ProtoField.ipv6("roamlab.aero.lladdr.address", "IP address"),
    key_id = ProtoField.uint16("roamlab.aero.key_id", "Key id", base.DEC),
    token = ProtoField.bytes("roamlab.aero.token", "Token", base.SPACE),
    mac = ProtoField.bytes("roamlab.aero.auth.mac", "MAC", base.SPACE),
    timestamp = ProtoField.uint64("roamlab.aero.auth.timestamp", "Timestamp (1/65536 s)", base.DEC),
    seen_size = ProtoField.uint16("roamlab.aero.observed.size", "Inner size seen", base.DEC),
    nonce = ProtoField.bytes("roamlab.aero.nonce", "Nonce", base.SPACE),
    route = ProtoField.ipv6("roamlab.aero.route", "Prefix"),
    route_length = ProtoField.uint8("roamlab.aero.route.length", "Prefix length", base.DEC),
    route_lifetime = ProtoField.uint32("roamlab.aero.route.lifetime", "Lifetime (s)", base.DEC),
    trigger = ProtoField.bytes("roamlab.aero.redirected", "Start of the packet that caused it", base.SPACE),
    predirect = ProtoField.bool("roamlab.aero.predirect", "Predirect", 8, nil, 0x80),
    framing = ProtoField.string("roamlab.aero.framing", "Framing"),
    destination = ProtoField.ipv6("roamlab.aero.nd.destination", "Destination"),
    supplied = ProtoField.string("roamlab.aero.dhcp.option", "DHCPv6 option"),
    identifier_version = ProtoField.uint8("roamlab.aero.dhcp.interface_id.version", "Version", base.DEC),
    identifier_mac = ProtoField.bytes("roamlab.aero.dhcp.interface_id.mac", "MAC", base.SPACE),
    replay = ProtoField.uint64("roamlab.aero.dhcp.auth.replay", "Replay value", base.DEC),
}

local aero_expert = {
    cut = ProtoExpert.new("roamlab.aero.cut", "Packet ends too early", expert.group.MALFORMED, expert.severity.ERROR),
    first = ProtoExpert.new(
        "roamlab.aero.bad_first", "First octet says neither IPv4, IPv6 nor fragment", expert.group.PROTOCOL,
        expert.severity.WARN
    ),
    gue = ProtoExpert.new(
        "roamlab.aero.gue", "GUE control, flags or protocol that AERO does not know", expert.group.PROTOCOL,
        expert.severity.WARN
    ),
    option_length = ProtoExpert.new(
        "roamlab.aero.option_length", "Wrong option length", expert.group.MALFORMED, expert.severity.ERROR
    ),
}

return { shown = aero, expert = aero_expert }
