-- AERO: Neighbor Discovery of the link, its options, Predirect and Redirect (fact sheet AERO, §6).

local import = ...
if not import then
    return -- run by Wireshark itself, which runs every file of its plugin folder: roamlab.lua loads this one
end

local fields = import("aero/fields")
local aero, aero_expert = fields.shown, fields.expert

local NS, NA, REDIRECT = 135, 136, 137
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

return { add_lladdr = add_lladdr, add_message = add_message, add_discovery = add_discovery }
