-- HAARO: messages 24 to 27 and the extensions of registrations (RFC 6521; fact sheet HAARO, §2).

local import = ...
if not import then
    return -- run by Wireshark itself, which runs every file of its plugin folder: roamlab.lua loads this one
end

local fields, advertisement = import("haaro/fields"), import("haaro/advertisement")
local haaro, haaro_expert = fields.shown, fields.expert

local TESTS = {
    [24] = { name = "HoTI", title = "Home Test Init", size = 10 },
    [25] = { name = "CoTI", title = "Care-of Test Init", size = 10 },
    [26] = { name = "HoT", title = "Home Test", size = 20 },
    [27] = { name = "CoT", title = "Care-of Test", size = 20 },
}
local REGISTRATIONS = { [1] = 24, [3] = 20 } -- octets of the fixed parts
local ADVERTISEMENT = 50 -- the one extension of the long form, which Wireshark reads like the others

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
    ["50/1"] = {
        name = "Route Optimization Prefix Advertisement",
        shortest = 0,
        show = advertisement.add_advertisement,
    },
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

return {
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
