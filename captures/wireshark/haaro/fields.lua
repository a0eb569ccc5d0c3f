-- HAARO: fields one can filter by, and what can be wrong (RFC 6521; fact sheet HAARO, §2 and §8).

if not ... then
    return -- run by Wireshark itself, which runs every file of its plugin folder: roamlab.lua loads this one
end

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

return { shown = haaro, expert = haaro_expert }
