--[[
roamlab.lua - for Wireshark and tshark 4.0 or newer (Lua 5.2 or newer)

Decodes what Wireshark lacks in the signalling of roamlab's labs. Wireshark's own dissectors stay and run first: what is
here adds a tree behind theirs, and one word to the Info column.

How a further protocol is added: one more entry in the table PROTOCOLS at the end of this file, made of
    name      filter prefix, as "roamlab.mip6"; also the section of its preferences
    title     the line its tree begins with
    fields    table of ProtoField, names below `name`
    experts   table of ProtoExpert, likewise
    prefs     table of Pref, by name; optional
    table     Wireshark's dissector table to hook into, as "ip.proto", and
    value     the number there. Who is registered for it already (Wireshark, or an entry above) is called first.
    part      function(tvb) that says which octets these get to see, nil for none; optional: all of them
    dissect   function(tvb, pinfo, tree, proto)
and nothing else: the loop behind the table registers it. `dissect` reads octets from the network: it must ask for a
range only after it knows that the octets are there.

License: GPL-2.0-or-later
]]

-- Distributed Mobility: PMIPv6 with distributed gateways, RFC 8885 (§4: the D flag, options 65 to 70) ------------------

local PBU, PBA = 5, 6 -- Mobility Header types; without the P flag they are BU and BA of a mobile node itself
local OPTIONS_AT = 12 -- in both messages, octets from the start of the Mobility Header
local MESSAGES = { [PBU] = "Proxy Binding Update", [PBA] = "Proxy Binding Acknowledgement" }
local YES_NO = { "Distributed gateway", "No distributed gateway" }
local D_NAME = "Distributed gateway (D) flag"

local mip6 = {
    d_pbu = ProtoField.bool("roamlab.mip6.d", D_NAME, 16, YES_NO, 0x0010),
    d_pba = ProtoField.bool("roamlab.mip6.d", D_NAME, 8, YES_NO, 0x02),
    d_pbu_draft03 = ProtoField.bool("roamlab.mip6.d", D_NAME .. ", draft-03", 16, YES_NO, 0x0100),
    d_pba_draft03 = ProtoField.bool("roamlab.mip6.d", D_NAME .. ", draft-03", 8, YES_NO, 0x10),
    anchor = ProtoField.none("roamlab.mip6.anchor", "Anchor"),
    option = ProtoField.uint8("roamlab.mip6.option", "Option type", base.DEC),
    option_length = ProtoField.uint8("roamlab.mip6.option.length", "Option length", base.DEC),
    option_data = ProtoField.bytes("roamlab.mip6.option.data", "Option data", base.SPACE),
    reserved = ProtoField.bytes("roamlab.mip6.option.reserved", "Reserved", base.SPACE),
    anchored_prefix = ProtoField.ipv6("roamlab.mip6.anchored_prefix", "Anchored prefix"),
    anchored_prefix_length = ProtoField.uint8("roamlab.mip6.anchored_prefix.length", "Prefix length"),
    local_prefix = ProtoField.ipv6("roamlab.mip6.local_prefix", "Local prefix"),
    local_prefix_length = ProtoField.uint8("roamlab.mip6.local_prefix.length", "Prefix length"),
    previous_maar = ProtoField.ipv6("roamlab.mip6.previous_maar", "P-MAAR address"),
    previous_maar_prefix = ProtoField.ipv6("roamlab.mip6.previous_maar.prefix", "Home network prefix"),
    previous_maar_prefix_length = ProtoField.uint8("roamlab.mip6.previous_maar.prefix.length", "Prefix length"),
    serving_maar = ProtoField.ipv6("roamlab.mip6.serving_maar", "S-MAAR address"),
    dlif_link_local = ProtoField.ipv6("roamlab.mip6.dlif_link_local", "DLIF link-local address"),
    dlif_link_layer = ProtoField.bytes("roamlab.mip6.dlif_link_layer", "DLIF link-layer address", base.COLON),
}

local mip6_expert = {
    cut = ProtoExpert.new(
        "roamlab.mip6.cut", "Message ends too early", expert.group.MALFORMED, expert.severity.ERROR
    ),
    length = ProtoExpert.new(
        "roamlab.mip6.wrong_length", "Wrong option length", expert.group.MALFORMED, expert.severity.ERROR
    ),
    prefix_length = ProtoExpert.new(
        "roamlab.mip6.wrong_prefix_length", "Prefix length not in 1 to 128", expert.group.PROTOCOL, expert.severity.ERROR
    ),
    link_local = ProtoExpert.new(
        "roamlab.mip6.not_link_local", "Not a link-local address", expert.group.PROTOCOL, expert.severity.WARN
    ),
    d_missing = ProtoExpert.new(
        "roamlab.mip6.d_missing", "Options 65 to 70 without D flag", expert.group.PROTOCOL, expert.severity.WARN
    ),
}

-- Adds a prefix length and the prefix it belongs to; returns both as text, "2001:db8:a1:1::/64".
local function add_prefix(item, length_field, length_range, prefix_field, prefix_range)
    local length = length_range:uint()
    local shown = item:add(length_field, length_range)
    if length == 0 or length > 128 then
        shown:add_proto_expert_info(mip6_expert.prefix_length)
    end
    item:add(prefix_field, prefix_range)
    return tostring(prefix_range:ipv6()) .. "/" .. length
end

local function prefix_option(name, prefix_field, length_field)
    return {
        name = name,
        length = 18,
        show = function(item, data)
            item:add(mip6.reserved, data(0, 1))
            return add_prefix(item, length_field, data(1, 1), prefix_field, data(2, 16))
        end,
    }
end

-- By type: name; `length` (exact) or `shortest` of the data; `show` adds the data (a range of a length already
-- proved right) to the option's tree and returns a text for its heading; `member`: belongs to the anchor before it.
local OPTIONS = {
    [65] = prefix_option("Anchored Prefix", mip6.anchored_prefix, mip6.anchored_prefix_length),
    [66] = prefix_option("Local Prefix", mip6.local_prefix, mip6.local_prefix_length),
    [67] = {
        name = "Previous MAAR",
        length = 34,
        show = function(item, data)
            item:add(mip6.reserved, data(0, 1))
            item:add(mip6.previous_maar, data(2, 16))
            local prefix = add_prefix(
                item, mip6.previous_maar_prefix_length, data(1, 1), mip6.previous_maar_prefix, data(18, 16)
            )
            return tostring(data(2, 16):ipv6()) .. ", " .. prefix
        end,
    },
    [68] = {
        name = "Serving MAAR",
        length = 16,
        show = function(item, data)
            item:add(mip6.serving_maar, data)
            return tostring(data:ipv6())
        end,
    },
    [69] = {
        name = "DLIF Link-Local Address",
        length = 16,
        show = function(item, data)
            local shown = item:add(mip6.dlif_link_local, data)
            if data:bitfield(0, 10) ~= 0x3fa then -- fe80::/10
                shown:add_proto_expert_info(mip6_expert.link_local)
            end
            return tostring(data:ipv6())
        end,
    },
    [70] = {
        name = "DLIF Link-Layer Address",
        shortest = 3,
        show = function(item, data)
            item:add(mip6.reserved, data(0, 2))
            local address = data(2)
            item:add(mip6.dlif_link_layer, address)
            return (address:bytes():tohex(true, ":"))
        end,
    },
}
for _, kind in ipairs({ 65, 66, 69, 70 }) do
    OPTIONS[kind].member = true
end

-- Splits the octets of `tvb` from `at` to before `stop` into options. Returns a list of those with types 65 to 70 and,
-- if the last option of any type does not end before `stop`, what is wrong; an option cut off has no `data`.
local function find_options(tvb, at, stop)
    local found = {}
    while at < stop do
        local kind = tvb(at, 1):uint()
        if kind == 0 then -- Pad1: no length octet
            at = at + 1
        elseif at + 2 > stop then
            return found, "Option " .. kind .. " has no length octet"
        else
            local length = tvb(at + 1, 1):uint()
            local stops = at + 2 + length
            local option = { kind = kind, at = at, length = length, range = tvb(at, math.min(stops, stop) - at) }
            if stops <= stop and length > 0 then
                option.data = tvb(at + 2, length)
            end
            if OPTIONS[kind] then
                found[#found + 1] = option
            end
            if stops > stop then
                option.cut = string.format("Option %d of %d octets has only %d left", kind, length, stop - at - 2)
                return found, option.cut
            end
            at = stops
        end
    end
    return found, nil
end

-- Adds one option; returns the text of its heading, nil if it is malformed.
local function add_option(tree, tvb, option)
    local known = OPTIONS[option.kind]
    local item = tree:add(option.range, known.name)
    item:add(mip6.option, tvb(option.at, 1)):append_text(" (" .. known.name .. ")")
    local shown = item:add(mip6.option_length, tvb(option.at + 1, 1))
    if option.cut then
        shown:add_proto_expert_info(mip6_expert.cut, option.cut)
        return nil
    end
    local right = option.length == known.length or (known.shortest and option.length >= known.shortest)
    if not right then
        local wanted = known.length or ("at least " .. known.shortest)
        local text = string.format("%s has length %d, must be %s", known.name, option.length, wanted)
        shown:add_proto_expert_info(mip6_expert.length, text)
        if option.data then
            item:add(mip6.option_data, option.data)
        end
        return nil
    end
    local text = known.show(item, option.data)
    item:append_text(": " .. text)
    return text
end

-- Adds all options. A Previous MAAR opens a group: what follows and can belong to an anchor is about that one, until
-- the next Previous MAAR. Ahead of the first it is about the sender.
local function add_options(tree, tvb, options)
    local group, group_at
    for _, option in ipairs(options) do
        if option.kind == 67 then
            group, group_at = tree:add(mip6.anchor, option.range), option.at
            group:set_text("Anchor")
            local text = add_option(group, tvb, option)
            group:append_text(text and (": " .. text) or " [malformed]")
        elseif group and OPTIONS[option.kind].member then
            add_option(group, tvb, option)
            group:set_len(option.at + option.range:len() - group_at)
        else
            add_option(tree, tvb, option)
        end
    end
end

-- Offset and size of the flags, and the position of the P flag in them, counted from the most significant bit.
local FLAGS = { [PBU] = { at = 8, size = 2, p = 6 }, [PBA] = { at = 7, size = 1, p = 2 } }
-- Positions of the D flag, preference by preference.
local D_FLAGS = {
    [0] = { [PBU] = { field = mip6.d_pbu, bit = 11 }, [PBA] = { field = mip6.d_pba, bit = 6 } },
    [1] = { [PBU] = { field = mip6.d_pbu_draft03, bit = 7 }, [PBA] = { field = mip6.d_pba_draft03, bit = 3 } },
}

local function dissect_mip6(tvb, pinfo, tree, proto)
    local present = tvb:captured_len()
    if present < OPTIONS_AT then
        return
    end
    local kind = tvb(2, 1):uint()
    local flags = FLAGS[kind]
    if not flags then
        return
    end
    local announced = (tvb(1, 1):uint() + 1) * 8
    local stop = math.min(announced, present)
    local options, problem = find_options(tvb, OPTIONS_AT, stop)
    local word = tvb(flags.at, flags.size)
    local d_flag = D_FLAGS[proto.prefs.d_flag][kind]
    local d = word:bitfield(d_flag.bit, 1) == 1
    if word:bitfield(flags.p, 1) == 0 and not d and #options == 0 then
        return -- plain Mobile IPv6
    end
    local root = tree:add(proto, tvb(0, stop))
    root:append_text(", " .. MESSAGES[kind])
    root:add(d_flag.field, word)
    if announced > present then
        problem = string.format("Header says %d octets, %d are here", announced, present)
    end
    if problem then
        root:add_proto_expert_info(mip6_expert.cut, problem)
    end
    if #options > 0 and not d then
        root:add_proto_expert_info(mip6_expert.d_missing)
    end
    add_options(root, tvb, options)
    if d then
        pinfo.cols.info:append(" [D]")
    end
end

-- AERO: encapsulations and control messages (fact sheet AERO, §2 and §6) ----------------------------------------------

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

local ICMPV6, NS, NA, REDIRECT = 58, 135, 136, 137
local ND_NAMES = { [NS] = "NS", [NA] = "NA", [REDIRECT] = "Redirect" }
local EXPERIMENT = 0xae60

-- Adds port and address (18 octets), which several options share; returns them as text.
local function add_lladdr(item, range)
    item:add(aero.port, range(0, 2))
    item:add(aero.address, range(2, 16))
    return tostring(range(2, 16):ipv6()) .. " port " .. range(0, 2):uint()
end

-- Option 253 by subtype: name, octets, and what adds them.
local SUBTYPES = {
    [1] = {
        name = "TOKEN", length = 24,
        show = function(item, data)
            item:add(aero.key_id, data(6, 2))
            item:add(aero.token, data(8, 16))
            return "key id " .. data(6, 2):uint()
        end,
    },
    [2] = {
        name = "AUTH", length = 32,
        show = function(item, data)
            item:add(aero.key_id, data(6, 2))
            item:add(aero.timestamp, data(8, 8))
            item:add(aero.mac, data(16, 16))
            return "key id " .. data(6, 2):uint()
        end,
    },
    [3] = {
        name = "OBSERVED", length = 32,
        show = function(item, data)
            item:add(aero.encapsulation, data(5, 1))
            item:add(aero.seen_size, data(24, 2))
            return add_lladdr(item, data(6, 18)) .. ", " .. data(24, 2):uint() .. " octets"
        end,
    },
}

-- Sixteen octets as an IPv6 address is written, without abbreviations.
local function hex_groups(octets)
    local groups = {}
    for at = 0, 14, 2 do
        groups[#groups + 1] = string.format("%02x%02x", octets:get_index(at), octets:get_index(at + 1))
    end
    return table.concat(groups, ":")
end

local function add_nd_option(tree, data)
    local kind, size = data(0, 1):uint(), data:len()
    if (kind == 1 or kind == 2) and size == 24 then
        local item = tree:add(data, kind == 1 and "SLLAO" or "TLLAO")
        item:add(aero.option, data(0, 1))
        item:add(aero.encapsulation, data(2, 1), data(2, 1):bitfield(0, 4))
        item:add(aero.nat, data(2, 1))
        item:add(aero.link_id, data(4, 1))
        item:add(aero.preference, data(5, 1))
        item:append_text(": " .. add_lladdr(item, data(6, 18)))
    elseif kind == 14 then
        tree:add(aero.nonce, data(2))
    elseif kind == 24 and size >= 8 then
        local item = tree:add(data, "RIO")
        local octets = ByteArray.new()
        for at = 8, math.min(size, 24) - 1 do
            octets:append(data(at, 1):bytes())
        end
        octets:set_size(16)
        item:add(aero.route, data(8, math.min(size, 24) - 8), Address.ipv6(hex_groups(octets)))
        item:add(aero.route_length, data(2, 1))
        item:add(aero.route_lifetime, data(4, 4))
    elseif kind == 4 and size > 8 then
        tree:add(aero.trigger, data(8))
    elseif kind == 253 and size >= 8 and data(2, 2):uint() == EXPERIMENT then
        local known = SUBTYPES[data(4, 1):uint()]
        local item = tree:add(data, known and known.name or "AERO experimental option")
        item:add(aero.option, data(0, 1))
        item:add(aero.subtype, data(4, 1))
        if known and size == known.length then
            item:append_text(": " .. known.show(item, data))
        elseif known then
            item:add_proto_expert_info(aero_expert.option_length)
        end
    end
end

-- A Predirect or Redirect in either framing (§6.6), or Neighbor Discovery; nil for anything else.
local function add_message(root, message, name, framing)
    local redirects = name == "Redirect"
    if not name or message:len() < (redirects and 40 or 24) then
        return nil
    end
    if redirects and message(4, 1):bitfield(0, 1) == 1 then
        name = "Predirect"
    end
    local tree = root:add(aero.message, message, name)
    tree:add(aero.target, message(8, 16))
    if redirects then
        tree:add(aero.framing, message(0, 1), framing)
        tree:add(aero.predirect, message(4, 1))
        tree:add(aero.destination, message(24, 16))
    end
    local at = redirects and 40 or 24
    while at + 8 <= message:len() do
        local size = message(at + 1, 1):uint() * 8
        if size == 0 or at + size > message:len() then
            tree:add_proto_expert_info(aero_expert.option_length)
            return name
        end
        add_nd_option(tree, message(at, size))
        at = at + size
    end
    return name
end

-- Neighbor Discovery of an inner IPv6 packet that is here whole; Wireshark reads six octets of a link-layer address.
local function add_discovery(root, packet)
    local message = packet(40)
    return add_message(root, message, ND_NAMES[message(0, 1):uint()], "nd")
end

-- Whether the port in hand is one of an inner packet: there UDP 8060 carries Predirects and Redirects (RFC 6706).
local inside = false

local function dissect_inside(name, tvb, pinfo, tree)
    local inner, before = Dissector.get(name), inside
    inside = true
    pcall(inner.call, inner, tvb, pinfo, tree) -- shows what is malformed by itself, as below
    inside = before
end

-- An inner packet, or what is here of one; `tvb` begins with it.
local function add_inner(tvb, pinfo, tree, root)
    local version = tvb(0, 1):bitfield(0, 4)
    local head = version == 6 and 40 or 20
    if tvb:len() < head then
        root:add_proto_expert_info(aero_expert.cut)
        return
    end
    local size = version == 6 and tvb(4, 2):uint() + 40 or tvb(2, 2):uint()
    root:add(aero.inner_size, size)
    if size > tvb:len() then
        root:add_proto_expert_info(aero_expert.cut)
        return
    end
    if tvb:len() > size then
        root:add(aero.padding, tvb(size), tvb:len() - size)
    end
    if size > 40 and version == 6 and tvb(6, 1):uint() == ICMPV6 then
        local name = add_discovery(root, tvb(0, size))
        if name then
            pinfo.cols.info:append(" [AERO " .. name .. "]")
        end
    end
end

local function add_fragment(tvb, root)
    if tvb:len() < 8 then
        root:add_proto_expert_info(aero_expert.cut)
        return
    end
    local place = tvb(2, 2):uint()
    local tree = root:add(tvb(0, 8), "Fragment Header")
    tree:add(aero.next_header, tvb(0, 1))
    tree:add(aero.reserved, tvb(1, 1))
    tree:add(aero.offset, tvb(2, 2), place - place % 8)
    tree:add(aero.more, tvb(2, 2))
    tree:add(aero.identification, tvb(4, 4))
    if tvb:len() > 8 then
        root:add(aero.part, tvb(8))
    end
    return place < 8 and place % 2 == 0 and tvb:len() > 28
end

-- Code by what the inner part begins with (§2.3); `fragmented` and `plain` are the codes of either.
local function add_carried(tvb, pinfo, tree, root, plain, fragmented, dissect_inner)
    local first = tvb(0, 1):uint()
    local version = math.floor(first / 16)
    if version == 4 or version == 6 then
        root:add(aero.code, plain)
        root:append_text(", code " .. plain)
        add_inner(tvb, pinfo, tree, root)
        if dissect_inner then
            dissect_inside(version == 6 and "ipv6" or "ip", tvb, pinfo, tree)
        end
    elseif first == 4 or first == 41 then
        root:add(aero.code, fragmented)
        root:append_text(", code " .. fragmented)
        if add_fragment(tvb, root) then
            local whole = tvb(8):tvb()
            add_inner(whole, pinfo, tree, root)
            if dissect_inner then
                dissect_inside(first == 41 and "ipv6" or "ip", whole, pinfo, tree)
            end
        end
        pinfo.cols.info:append(" [AERO fragment]")
    else
        root:add_proto_expert_info(aero_expert.first)
    end
end

local function dissect_aero_udp(tvb, pinfo, tree, proto)
    if inside and tvb:captured_len() > 0 and tvb(0, 1):uint() == 0 then
        local root = tree:add(proto, tvb())
        local name = add_message(root, tvb(0), "Redirect", "rfc6706")
        if name then
            pinfo.cols.info:append(" [AERO " .. name .. "]")
        else
            root:add_proto_expert_info(aero_expert.cut)
        end
    elseif tvb:captured_len() > 0 then
        add_carried(tvb, pinfo, tree, tree:add(proto, tvb()), "0", "0F", true)
    end
end

local function dissect_aero_gue(tvb, pinfo, tree, proto)
    if tvb:captured_len() < 4 then
        return
    end
    local root = tree:add(proto, tvb())
    local first = tvb(0, 1):uint()
    if math.floor(first / 64) == 1 then
        add_carried(tvb, pinfo, tree, root, "3", "?", true)
        return
    end
    local inner_at = 4 + first % 32 * 4
    root:add(aero.gue_protocol, tvb(1, 1))
    local known = { [4] = true, [41] = true, [44] = true }
    if first >= 32 or not known[tvb(1, 1):uint()] or tvb(2, 2):uint() ~= 0 or inner_at >= tvb:captured_len() then
        root:add_proto_expert_info(aero_expert.gue)
        return
    end
    add_carried(tvb(inner_at):tvb(), pinfo, tree, root, "2", "2F", true)
end

local function dissect_aero_fragment(tvb, pinfo, tree, proto)
    if tvb:captured_len() > 0 then
        add_carried(tvb, pinfo, tree, tree:add(proto, tvb()), "1", "1F", true)
    end
end

local aero_proto -- has the preference

-- IP in IP says nothing of AERO by itself (§2.3): shown as code 1 only where control messages are inside, or all of it
-- where the preference says so.
local function dissect_aero_plain(tvb, pinfo, tree, proto)
    if tvb:captured_len() < 20 then
        return
    end
    local six = tvb(0, 1):bitfield(0, 4) == 6
    local control = six and tvb:captured_len() >= 40 and tvb(24, 2):uint() == 0xfe80
    if control or aero_proto.prefs.minimal then
        add_carried(tvb, pinfo, tree, tree:add(proto, tvb()), "1", "1F", false)
    end
end

-- DHCPv6 as AERO uses it (§6.9, §6.11): options 79 with a UDP port, the relay's Interface-ID, authentication.
local RELAYED = { [12] = true, [13] = true }

local DHCP_OPTIONS = {
    [79] = {
        name = "Client link-layer address", length = 20,
        fits = function(data) return data(0, 2):uint() == 256 end,
        show = function(item, data) return add_lladdr(item, data(2, 18)) end,
    },
    [18] = {
        name = "Interface-ID of the relay", length = 28,
        fits = function(data) return data(0, 1):uint() == 1 end,
        show = function(item, data)
            item:add(aero.identifier_version, data(0, 1))
            item:add(aero.encapsulation, data(1, 1))
            item:add(aero.identifier_mac, data(20, 8))
            return add_lladdr(item, data(2, 18))
        end,
    },
    [11] = {
        name = "Authentication", length = 27,
        fits = function(data) return data(0, 2):uint() == 0xfa02 end,
        show = function(item, data)
            item:add(aero.replay, data(3, 8))
            item:add(aero.mac, data(11, 16))
            return "HMAC-SHA-256/128"
        end,
    },
}
local RSOO, RELAY_MESSAGE = 66, 9

local add_dhcp

local function add_dhcp_options(root, data)
    local at = 0
    while at + 4 <= data:len() do
        local code, size = data(at, 2):uint(), data(at + 2, 2):uint()
        if at + 4 + size > data:len() then
            return
        end
        local content, known = size > 0 and data(at + 4, size), DHCP_OPTIONS[code]
        if not content then
            known = nil -- such as Rapid Commit
        elseif known and size == known.length and known.fits(content) then
            local item = root():add(aero.supplied, data(at, 4 + size), known.name)
            item:append_text(": " .. known.show(item, content))
        elseif code == RSOO then
            add_dhcp_options(root, content)
        elseif code == RELAY_MESSAGE then
            add_dhcp(root, content)
        end
        at = at + 4 + size
    end
end

-- `root` makes the tree when there is something to show.
add_dhcp = function(root, message)
    local head = RELAYED[message(0, 1):uint()] and 34 or 4
    if message:len() > head then
        add_dhcp_options(root, message(head))
    end
end

local function dissect_aero_dhcp(tvb, _pinfo, tree, proto)
    local made
    local function root()
        made = made or tree:add(proto, tvb())
        return made
    end
    if tvb:captured_len() > 0 then
        add_dhcp(root, tvb(0))
    end
end

-- HAARO: messages 24 to 27 and extensions of registrations (RFC 6521; fact sheet HAARO, §2 and §8) --------------------

local INFOS = { [0] = "nothing special", [1] = "outbound connections only" }

local haaro = {
    message = ProtoField.string("roamlab.haaro.message", "Message"),
    cookie = ProtoField.bytes("roamlab.haaro.cookie", "Init cookie", base.SPACE),
    index = ProtoField.uint16("roamlab.haaro.nonce_index", "Nonce index", base.DEC),
    token = ProtoField.bytes("roamlab.haaro.token", "Keygen token", base.SPACE),
    extension = ProtoField.uint8("roamlab.haaro.extension", "Extension type", base.DEC),
    subtype = ProtoField.uint8("roamlab.haaro.extension.subtype", "Subtype", base.DEC),
    length = ProtoField.uint16("roamlab.haaro.extension.length", "Length", base.DEC),
    advertise = ProtoField.bool("roamlab.haaro.capability.a", "A: others may learn my networks", 8, nil, 0x80),
    receive = ProtoField.bool("roamlab.haaro.capability.r", "R: send me prefix information", 8, nil, 0x40),
    solicit = ProtoField.bool("roamlab.haaro.capability.s", "S: send me the data of one router", 8, nil, 0x20),
    outbound = ProtoField.bool("roamlab.haaro.capability.o", "O: outbound connections only", 8, nil, 0x10),
    solicited = ProtoField.ipv4("roamlab.haaro.capability.solicited", "Solicited home address"),
    reply_outbound = ProtoField.bool("roamlab.haaro.reply.o", "O of the request", 8, nil, 0x80),
    reply_nat = ProtoField.bool("roamlab.haaro.reply.n", "N: the request was translated", 8, nil, 0x40),
    reply_solicit = ProtoField.bool("roamlab.haaro.reply.s", "S of the request", 8, nil, 0x20),
    reply_code = ProtoField.uint8("roamlab.haaro.reply.code", "Code", base.DEC, nil, 0x1f),
    home_index = ProtoField.uint16("roamlab.haaro.mcae.home_index", "Home nonce index", base.DEC),
    careof_index = ProtoField.uint16("roamlab.haaro.mcae.careof_index", "Care-of nonce index", base.DEC),
    spi = ProtoField.uint32("roamlab.haaro.mhae.spi", "SPI", base.HEX),
    authenticator = ProtoField.bytes("roamlab.haaro.authenticator", "Authenticator", base.SPACE),
    careof = ProtoField.ipv4("roamlab.haaro.careof", "Care-of address"),
    owner = ProtoField.ipv4("roamlab.haaro.owner", "Home address of the owner"),
    info = ProtoField.uint8("roamlab.haaro.owner.info", "Info", base.DEC, INFOS, 0x3f),
    prefix = ProtoField.ipv4("roamlab.haaro.prefix", "Prefix"),
    prefix_length = ProtoField.uint8("roamlab.haaro.prefix.length", "Prefix length", base.DEC, nil, 0x3f),
    delta = ProtoField.bool("roamlab.haaro.prefix.delta", "D: one octet of the prefix", 8, nil, 0x80),
    realm = ProtoField.string("roamlab.haaro.realm", "Realm"),
}

local haaro_expert = {
    cut = ProtoExpert.new("roamlab.haaro.cut", "Message ends too early", expert.group.MALFORMED, expert.severity.ERROR),
    length = ProtoExpert.new(
        "roamlab.haaro.wrong_length", "Wrong extension length", expert.group.MALFORMED, expert.severity.ERROR
    ),
    advertisement = ProtoExpert.new(
        "roamlab.haaro.bad_advertisement", "Advertisement ends here for a receiver", expert.group.MALFORMED,
        expert.severity.ERROR
    ),
}

local TESTS = {
    [24] = { name = "HoTI", title = "Home Test Init", size = 10 },
    [25] = { name = "CoTI", title = "Care-of Test Init", size = 10 },
    [26] = { name = "HoT", title = "Home Test", size = 20 },
    [27] = { name = "CoT", title = "Care-of Test", size = 20 },
}
local REGISTRATIONS = { [1] = 24, [3] = 20 } -- octets of the fixed parts
local ADVERTISEMENT = 50 -- the one extension of the long form, which Wireshark reads like the others

local function ipv4_of(bits)
    local octets = {}
    for shift = 24, 0, -8 do
        octets[#octets + 1] = math.floor(bits / 2 ^ shift) % 256
    end
    return string.format("%d.%d.%d.%d", table.unpack(octets))
end

local function masked(bits, length)
    return bits - bits % 2 ^ (32 - length)
end

-- Reads the realm at `at`; returns it and the offset behind it, or nil and what is wrong. `words` is the dictionary:
-- slots 0 to 127, and `count` of what was put in.
local function read_realm(data, at, words)
    local parts, run = {}, {}
    local function learn(word)
        words[words.count % 128] = word
        words.count = words.count + 1
    end
    while true do
        if at >= data:len() then
            return nil, "realm without its end mark"
        end
        local octet = data(at, 1):uint()
        if octet == 0 then
            break
        elseif octet >= 128 then
            local word = words[octet - 128]
            if not word then
                return nil, "realm names the empty slot " .. octet - 128
            end
            parts[#parts + 1] = word
            run = {}
            at = at + 1
        else
            if at + 1 + octet > data:len() then
                return nil, "label cut off"
            end
            local word = data(at + 1, octet):raw()
            parts[#parts + 1] = word
            run[#run + 1] = word
            learn(word)
            at = at + 1 + octet
        end
        if #table.concat(parts, ".") > 253 then
            return nil, "realm of more than 253 octets"
        end
    end
    for start = 1, #run - 1 do
        learn(table.concat(run, ".", start))
    end
    return table.concat(parts, "."), at + 1
end

-- Reads the prefix at `at`; returns its bits and the offset behind it, or nil and what is wrong.
local function read_prefix(data, at, master)
    local head = data(at, 1):uint()
    local length = head % 64
    local shortened = head >= 128
    local size = shortened and 1 or math.ceil(length / 8)
    if length > 32 then
        return nil, "prefix length " .. length
    elseif at + 1 + size > data:len() then
        return nil, "prefix cut off"
    elseif not shortened then
        local bits = 0
        for index = 1, size do
            bits = bits + data(at + index, 1):uint() * 2 ^ (32 - 8 * index)
        end
        return masked(bits, length), at + 1 + size
    elseif not master or length < 8 then
        return nil, master and "shortened prefix of " .. length .. " bits" or "shortened prefix without a master"
    end
    return masked(master, length - 8) + data(at + 1, 1):uint() * 2 ^ (32 - length), at + 2
end

-- Adds one owner or one network; returns the offset behind it, the owner's tree and the master, or nil and what is wrong.
local function add_structure(tree, data, at, owner, master, words)
    local head = data(at, 1):uint()
    if head % 128 >= 64 then
        if at + 5 > data:len() then
            return nil, "home address cut off"
        end
        local item = tree:add(haaro.owner, data(at + 1, 4))
        item:add(haaro.info, data(at, 1))
        return at + 5, item, master
    end
    if not owner then
        return nil, "network before any owner"
    end
    local bits, behind = read_prefix(data, at, master)
    if not bits then
        return nil, behind
    end
    local realm, stop = read_realm(data, behind, words)
    if not realm then
        return nil, stop
    end
    local text = ipv4_of(bits)
    local item = owner:add(haaro.prefix, data(at, behind - at), Address.ip(text))
    item:append_text("/" .. head % 64 .. (realm ~= "" and " in " .. realm or ""))
    item:add(haaro.delta, data(at, 1))
    item:add(haaro.prefix_length, data(at, 1))
    item:add(haaro.realm, data(behind, stop - behind), realm)
    return stop, owner, head < 128 and bits or master
end

local function add_advertisement(item, data)
    local at, owner, master = 0, nil, nil
    local words = { count = 0 }
    while at < data:len() do
        local stop, second, third = add_structure(item, data, at, owner, master, words)
        if not stop then
            item:add_proto_expert_info(haaro_expert.advertisement, "Octet " .. at .. ": " .. second)
            return
        end
        at, owner, master = stop, second, third
    end
end

-- By "type/subtype": name; `lengths` of the data behind the subtype, or `shortest`; `show` adds it.
local EXTENSIONS = {
    ["153/1"] = {
        name = "Route Optimization Capability",
        lengths = { [1] = true, [5] = true },
        show = function(item, data)
            for _, field in ipairs({ haaro.advertise, haaro.receive, haaro.solicit, haaro.outbound }) do
                item:add(field, data(0, 1))
            end
            if data:bitfield(2, 1) == 1 then
                if data:len() == 5 then
                    item:add(haaro.solicited, data(1, 4))
                else
                    item:add_proto_expert_info(haaro_expert.length, "S without a home address")
                end
            end
        end,
    },
    ["49/1"] = {
        name = "Route Optimization Reply",
        lengths = { [1] = true },
        show = function(item, data)
            for _, field in ipairs({ haaro.reply_outbound, haaro.reply_nat, haaro.reply_solicit, haaro.reply_code }) do
                item:add(field, data(0, 1))
            end
        end,
    },
    ["49/2"] = {
        name = "Mobile-Correspondent Authentication",
        lengths = { [21] = true },
        show = function(item, data)
            item:add(haaro.home_index, data(1, 2))
            item:add(haaro.careof_index, data(3, 2))
            item:add(haaro.authenticator, data(5, 16))
        end,
    },
    ["49/3"] = {
        name = "Care-of Address",
        shortest = 5,
        show = function(item, data)
            for at = 1, data:len() - 4, 4 do
                item:add(haaro.careof, data(at, 4))
            end
            if data:len() % 4 ~= 1 then
                item:add_proto_expert_info(haaro_expert.length, "Care-of addresses are not whole")
            end
        end,
    },
    ["50/1"] = { name = "Route Optimization Prefix Advertisement", shortest = 0, show = add_advertisement },
}

-- What Wireshark is to read: nothing of messages it takes for malformed, and a reply up to the advertisement.
local function part_for_wireshark(tvb)
    local present = tvb:captured_len()
    local kind = present > 0 and tvb(0, 1):uint() or 0
    if TESTS[kind] and present >= TESTS[kind].size then
        return nil
    end
    local at = REGISTRATIONS[kind]
    while at and at + 2 <= present do
        local extension = tvb(at, 1):uint()
        if extension == ADVERTISEMENT then
            return at < present and tvb(0, at):tvb() or tvb
        end
        at = extension == 0 and at + 1 or at + 2 + tvb(at + 1, 1):uint()
    end
    return tvb
end

local function add_test(tvb, pinfo, tree, proto, kind)
    local root = tree:add(proto, tvb(0, kind.size))
    root:append_text(", " .. kind.title)
    root:add(haaro.message, tvb(0, 1), kind.name)
    local at = 2
    if kind.size == 20 then
        root:add(haaro.index, tvb(2, 2))
        at = 4
    end
    root:add(haaro.cookie, tvb(at, 8))
    if kind.size == 20 then
        root:add(haaro.token, tvb(12, 8))
    end
    pinfo.cols.protocol = "HAARO"
    pinfo.cols.info = kind.title
end

-- Adds the MHAE that Wireshark does not see behind an advertisement.
local function add_home_auth(tree, data)
    local item = tree:add(data, "Mobile-Home Authentication")
    item:add(haaro.extension, data(0, 1))
    if data:len() < 6 then
        item:add_proto_expert_info(haaro_expert.length)
        return
    end
    item:add(haaro.spi, data(2, 4))
    if data:len() > 6 then
        item:add(haaro.authenticator, data(6))
    end
end

-- Adds one extension that is here whole; `head` octets stand ahead of what its layout calls data.
local function add_haaro_extension(tree, range, head, subtype_at)
    local known = range:len() > subtype_at and EXTENSIONS[range(0, 1):uint() .. "/" .. range(subtype_at, 1):uint()]
    if not known then
        return nil
    end
    local item = tree:add(range, known.name)
    item:add(haaro.extension, range(0, 1))
    item:add(haaro.subtype, range(subtype_at, 1))
    item:add(haaro.length, head == 4 and range(2, 2) or range(1, 1))
    local size = range:len() - (head == 4 and 4 or 3)
    if (known.lengths and not known.lengths[size]) or (known.shortest and size < known.shortest) then
        item:add_proto_expert_info(haaro_expert.length)
    elseif size > 0 then
        known.show(item, range(range:len() - size))
    end
    return known
end

local function dissect_haaro(tvb, pinfo, tree, proto)
    local present = tvb:captured_len()
    local kind = present > 0 and tvb(0, 1):uint() or 0
    if TESTS[kind] then
        if present >= TESTS[kind].size then
            add_test(tvb, pinfo, tree, proto, TESTS[kind])
        end
        return
    end
    local at = REGISTRATIONS[kind]
    if not at or at >= present then
        return
    end
    local root, unseen = nil, false
    local function tree_of_ours()
        if not root then
            root = tree:add(proto, tvb())
            pinfo.cols.info:append(" [HAARO]")
        end
        return root
    end
    while at < present do
        local extension = tvb(at, 1):uint()
        local head = extension == ADVERTISEMENT and 4 or 2
        if extension == 0 then
            at = at + 1
        elseif at + head > present then
            tree_of_ours():add_proto_expert_info(haaro_expert.cut, "Extension " .. extension .. " has no length")
            return
        else
            local stop = at + head + tvb(at + head - (head == 4 and 2 or 1), head == 4 and 2 or 1):uint()
            if stop > present then
                tree_of_ours():add_proto_expert_info(haaro_expert.cut, "Extension " .. extension .. " is cut off")
                return
            end
            local range = tvb(at, stop - at)
            unseen = unseen or extension == ADVERTISEMENT
            if EXTENSIONS[extension .. "/1"] then
                add_haaro_extension(tree_of_ours(), range, head, head == 4 and 1 or 2)
            elseif extension == 32 and unseen then
                add_home_auth(tree_of_ours(), range)
            end
            at = stop
        end
    end
end

-- The protocols -------------------------------------------------------------------------------------------------------

local PROTOCOLS = {
    {
        name = "roamlab.mip6",
        title = "Distributed Mobility (RFC 8885)",
        fields = mip6,
        experts = mip6_expert,
        prefs = {
            d_flag = Pref.enum(
                "Position of the D flag", 0, "Where Proxy Binding Updates and Acknowledgements carry the D flag",
                { { 1, "rfc8885", 0 }, { 2, "draft03", 1 } }, true
            ),
        },
        table = "ip.proto",
        value = 135,
        dissect = dissect_mip6,
    },
    {
        name = "roamlab.aero",
        title = "AERO, UDP encapsulation",
        fields = aero,
        experts = aero_expert,
        prefs = { minimal = Pref.bool("All IP in IP is AERO", false, "Show code 1 on every packet of protocol 4 or 41") },
        registered = function(proto) aero_proto = proto end,
        table = "udp.port",
        value = 8060,
        dissect = dissect_aero_udp,
    },
    {
        name = "roamlab.aero_ipv4",
        title = "AERO, minimal encapsulation of IPv4",
        fields = {},
        experts = {},
        table = "ip.proto",
        value = 4,
        ahead = true, -- Wireshark's own cuts the octets to the inner packet's length: no padding would be left
        dissect = dissect_aero_plain,
    },
    {
        name = "roamlab.aero_ipv6",
        title = "AERO, minimal encapsulation of IPv6",
        fields = {},
        experts = {},
        table = "ip.proto",
        value = 41,
        ahead = true, -- Wireshark's own cuts the octets to the inner packet's length: no padding would be left
        dissect = dissect_aero_plain,
    },
    {
        name = "roamlab.aero_dhcp",
        title = "AERO, what DHCPv6 says of it",
        fields = {},
        experts = {},
        table = "udp.port",
        value = 547,
        dissect = dissect_aero_dhcp,
    },
    {
        name = "roamlab.aero_dhcp_client",
        title = "AERO, what DHCPv6 says of it to clients",
        fields = {},
        experts = {},
        table = "udp.port",
        value = 546,
        dissect = dissect_aero_dhcp,
    },
    {
        name = "roamlab.aero_gue",
        title = "AERO, GUE encapsulation",
        fields = {}, -- those of roamlab.aero
        experts = {},
        table = "udp.port",
        value = 6080,
        dissect = dissect_aero_gue,
    },
    {
        name = "roamlab.aero_minimal",
        title = "AERO, minimal encapsulation",
        fields = {},
        experts = {},
        table = "ip.proto",
        value = 44, -- over IPv4; over IPv6 Wireshark puts fragments together itself
        -- Over IPv4 Wireshark takes each part for a packet of its own and finds it malformed.
        alone = function(pinfo) return not tostring(pinfo.net_src):find(":", 1, true) end,
        dissect = dissect_aero_fragment,
    },
    {
        name = "roamlab.haaro",
        title = "HAARO (RFC 6521)",
        fields = haaro,
        experts = haaro_expert,
        table = "udp.port",
        value = 434,
        part = part_for_wireshark,
        dissect = dissect_haaro,
    },
}

local function register(entry)
    local made, proto = pcall(Proto, entry.name, entry.title)
    if not made then
        -- Loaded a second time, from the plugin folder and by -X lua_script: once is enough.
        if tostring(proto):find("two protocols", 1, true) then
            return
        end
        error(proto)
    end
    proto.fields = entry.fields
    proto.experts = entry.experts
    for name, preference in pairs(entry.prefs or {}) do
        proto.prefs[name] = preference
    end
    if entry.registered then
        entry.registered(proto)
    end
    local hooks = DissectorTable.get(entry.table)
    local before = hooks:get_dissector(entry.value)
    function proto.dissector(tvb, pinfo, tree)
        if entry.ahead then
            entry.dissect(tvb, pinfo, tree, proto)
        end
        local seen = tvb
        if entry.part then
            seen = entry.part(tvb)
        end
        if before and seen and not (entry.alone and entry.alone(pinfo)) then
            -- It shows what is malformed in the tree by itself, and raises it here again.
            pcall(before.call, before, seen, pinfo, tree)
        end
        if not entry.ahead then
            entry.dissect(tvb, pinfo, tree, proto)
        end
        return math.max(tvb:captured_len(), 1) -- 0 would say that these octets are not ours
    end
    hooks:add(entry.value, proto)
end

for _, entry in ipairs(PROTOCOLS) do
    register(entry)
end
