-- HAARO: owners, prefixes and realms of an advertisement, put together as a receiver does (RFC 6521; fact sheet HAARO,
-- §2 and §8).

local import = ...
if not import then
    return -- run by Wireshark itself, which runs every file of its plugin folder: roamlab.lua loads this one
end

local fields = import("haaro/fields")
local haaro, haaro_expert = fields.shown, fields.expert

-- An address as it is written, of 32 bits.
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

-- Adds one owner or one network; returns the offset behind it, the owner's tree and the master, or nil and what is
-- wrong.
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

return { add_advertisement = add_advertisement }
