-- Distributed Mobility: PMIPv6 with distributed gateways, RFC 8885 (§4: the D flag, options 65 to 70).

if not ... then
    return -- run by Wireshark itself, which runs every file of its plugin folder: roamlab.lua loads this one
end

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
        "roamlab.mip6.wrong_prefix_length", "Prefix length not in 1 to 128", expert.group.PROTOCOL,
        expert.severity.ERROR
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

return {
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
}
