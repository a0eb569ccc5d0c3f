-- AERO: what DHCPv6 carries for it: options 79 with a UDP port, the relay's Interface-ID, authentication (fact sheet
-- AERO, §6.9, §6.11).

local import = ...
if not import then
    return -- run by Wireshark itself, which runs every file of its plugin folder: roamlab.lua loads this one
end

local aero, discovery = import("aero/fields").shown, import("aero/discovery")

local RELAYED = { [12] = true, [13] = true }

local DHCP_OPTIONS = {
    [79] = {
        name = "Client link-layer address", length = 20,
        fits = function(data) return data(0, 2):uint() == 256 end,
        show = function(item, data) return discovery.add_lladdr(item, data(2, 18)) end,
    },
    [18] = {
        name = "Interface-ID of the relay", length = 28,
        fits = function(data) return data(0, 1):uint() == 1 end,
        show = function(item, data)
            item:add(aero.identifier_version, data(0, 1))
            item:add(aero.encapsulation, data(1, 1))
            item:add(aero.identifier_mac, data(20, 8))
            return discovery.add_lladdr(item, data(2, 18))
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

return {
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
}
