-- AERO: encapsulations, plain and fragmented (fact sheet AERO, §2).

local import = ...
if not import then
    return -- run by Wireshark itself, which runs every file of its plugin folder: roamlab.lua loads this one
end

local fields, discovery = import("aero/fields"), import("aero/discovery")
local aero, aero_expert = fields.shown, fields.expert

local ICMPV6 = 58

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
        local name = discovery.add_discovery(root, tvb(0, size))
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
        local name = discovery.add_message(root, tvb(0), "Redirect", "rfc6706")
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

return {
    {
        name = "roamlab.aero",
        title = "AERO, UDP encapsulation",
        fields = aero, -- those of the other entries as well
        experts = aero_expert,
        prefs = {
            minimal = Pref.bool("All IP in IP is AERO", false, "Show code 1 on every packet of protocol 4 or 41"),
        },
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
        name = "roamlab.aero_gue",
        title = "AERO, GUE encapsulation",
        fields = {},
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
}
