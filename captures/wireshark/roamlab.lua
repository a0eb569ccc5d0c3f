--[[
roamlab.lua - for Wireshark and tshark 4.0 or newer (Lua 5.2 or newer)

Decodes what Wireshark lacks in the signalling of roamlab's labs. Wireshark's own dissectors stay and run first: what is
here adds a tree behind theirs, and one word to the Info column.

This file loads the others of its folder, one for each group of messages:
    dgw.lua                  Proxy Binding Updates and Acknowledgements of distributed gateways
    aero/encapsulation.lua   what is in an AERO tunnel; aero/discovery.lua: Neighbor Discovery inside it
    aero/dhcp.lua            what DHCPv6 says of AERO
    haaro/messages.lua       HAARO's tests and extensions of registrations; haaro/advertisement.lua: prefixes and realms
Wireshark runs all files of a plugin folder by itself, in any order: each but this one then does nothing.

How a further protocol is added: a file that returns a list of entries, its name in FILES below, and in each entry
    name        filter prefix, as "roamlab.mip6"; also the section of its preferences
    title       the line its tree begins with
    fields      table of ProtoField, names below `name`
    experts     table of ProtoExpert, likewise
    prefs       table of Pref, by name; optional
    registered  function(proto), told of the protocol that was made; optional
    table       Wireshark's dissector table to hook into, as "ip.proto", and
    value       the number there. Who is registered for it already (Wireshark, or an entry above) is called first.
    part        function(tvb) that says which octets these get to see, nil for none; optional: all of them
    alone       function(pinfo) that says whether these are not to be called at all; optional: they are
    ahead       true: `dissect` is called before these; optional
    dissect     function(tvb, pinfo, tree, proto)
and nothing else: the loop at the end registers it. `dissect` reads octets from the network: it must ask for a range
only after it knows that the octets are there. A file is called with `import`, by which it gets what another one returns.

License: GPL-2.0-or-later
]]

local FILES = { "dgw", "aero/encapsulation", "aero/dhcp", "haaro/messages" }
local FOLDER = debug.getinfo(1, "S").source:sub(2):match("^.*[/\\]") or ""

local loaded = {}
local function import(name)
    if loaded[name] == nil then
        local path = FOLDER .. name .. ".lua"
        local found, chunk, problem = pcall(loadfile, path) -- Wireshark's own raises what Lua's returns
        if not found then
            error("no " .. path .. ": install the whole folder, not this file alone (docs/wireshark.md)", 0)
        end
        loaded[name] = assert(chunk, problem)(import)
    end
    return loaded[name]
end

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

for _, name in ipairs(FILES) do
    for _, entry in ipairs(import(name)) do
        register(entry)
    end
end
