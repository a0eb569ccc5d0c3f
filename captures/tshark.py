"""tshark as a decoder: one pass over many files, only the fields the checks need, as tab-separated text."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from captures.pcapng import CaptureError

FIELDS = (
    "frame.number",
    "frame.time_epoch",
    "frame.len",
    "eth.src",
    "eth.dst",
    "eth.type",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.hlim",
    "ipv6.plen",
    "udp.srcport",
    "udp.dstport",
    "udp.length",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.len",
    "tcp.flags",
    "icmpv6.type",
    "icmpv6.code",
    "icmpv6.pointer",
    "icmpv6.echo.identifier",
    "icmpv6.echo.sequence_number",
    "mip6.mhtype",
    "mip6.bu.seqnr",
    "mip6.ba.seqnr",
    "mip6.bu.lifetime",
    "mip6.ba.lifetime",
    "mip6.ba.status",
    "mip6.mnid.identifier",
    "icmpv6.nd.ra.cur_hop_limit",
    "icmpv6.nd.ra.flag",
    "icmpv6.nd.ra.router_lifetime",
    "icmpv6.nd.ra.reachable_time",
    "icmpv6.nd.ra.retrans_timer",
    "icmpv6.opt.type",
    "icmpv6.opt.src_linkaddr",
    "icmpv6.opt.mtu",
    "icmpv6.opt.prefix",
    "icmpv6.opt.prefix.length",
    "icmpv6.opt.prefix.flag",
    "icmpv6.opt.prefix.valid_lifetime",
    "icmpv6.opt.prefix.preferred_lifetime",
    "icmpv6.opt.route_info.flag",
    "icmpv6.opt.route_lifetime",
)
"""Fields asked for, in column order. A field occurring several times is joined with "|"."""
Row = dict[str, str]
READ_NULL_ESP = (
    "esp.enable_encryption_decode:TRUE",
    'uat:esp_sa:"IPv6","*","*","*","NULL","","ANY 128 bit authentication [no checking]",""',
)
"""Preferences with which it reads what is inside ESP with the NULL cipher; no key is needed for that."""


def find() -> str:
    """Where tshark is; CaptureError if nowhere."""
    found = shutil.which("tshark")
    if found is None:
        raise CaptureError("tshark is not installed (Debian package tshark)")
    return found


def rows(paths: Sequence[Path]) -> Iterator[Row]:
    """Decode captures one after the other; yield one {field: text} per frame. CaptureError when tshark cannot.

    A pcapng file is a row of sections, so several in a row are one: tshark takes a third of a second to start.
    """
    argv = [find(), "-n", "-r", "-"]
    argv += ["-o", "tcp.desegment_tcp_streams:FALSE", "-o", "tcp.analyze_sequence_numbers:FALSE"]
    argv += ["-o", "tcp.relative_sequence_numbers:FALSE"]
    argv += ["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"]
    for preference in READ_NULL_ESP:
        argv += ["-o", preference]
    for name in FIELDS:
        argv += ["-e", name]
    with ExitStack() as ending:
        cat = ending.enter_context(subprocess.Popen(["cat", "--", *paths], stdout=subprocess.PIPE))
        try:
            process = subprocess.Popen(
                argv, stdin=cat.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        finally:
            _pipe(cat).close()
        ending.enter_context(process)
        for line in _pipe(process):
            yield dict(zip(FIELDS, line.rstrip("\n").split("\t"), strict=False))
        assert process.stderr is not None
        complaint = [text for text in process.stderr.read().splitlines() if "Running as user" not in text][:1]
    if process.returncode != 0:
        named = " ".join(map(str, paths))
        raise CaptureError(f"tshark cannot read {named}: {' '.join(complaint) or process.returncode}")


def _pipe(process: subprocess.Popen[Any]) -> IO[Any]:
    assert process.stdout is not None
    return process.stdout
