"""A table of nftables that is ours: commands go in whole transactions, counters and sets come back as objects."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import nftables

from agents.kernel.netlink import KernelError


class Table:
    """One table; `name` with its family, such as "ip6 roamlab"."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._nft = nftables.Nftables()
        self._nft.set_json_output(True)

    def run(self, commands: str) -> str:
        """Carry out commands, all or none (KernelError); what they print."""
        if not commands:
            return ""
        code, output, error = self._nft.cmd(commands)
        if code:
            first = error.strip().splitlines()[0] if error.strip() else f"exit {code}"
            raise KernelError(f"nftables refused: {first}")
        return str(output)

    def counters(self, names: Iterable[str]) -> dict[str, int]:
        """Packets that these named counters have seen."""
        found = {one["name"]: int(one["packets"]) for one in self._listed("counters table", "counter")}
        return {name: found.get(name, 0) for name in names}

    def elements(self, name: str) -> list[Any]:
        """The elements of a set, as nftables describes them."""
        return [each for one in self._listed("set", "set", name) for each in one.get("elem", ())]

    def clear(self) -> None:
        """Take the whole table away; fine if there is none."""
        # Added first, because deleting one that is not there is refused.
        self.run(f"add table {self.name}\ndelete table {self.name}")

    def _listed(self, what: str, kind: str, name: str = "") -> list[Any]:
        listed = json.loads(self.run(f"list {what} {self.name} {name}"))
        entries = [entry[kind] for entry in listed["nftables"] if kind in entry]
        return [entry for entry in entries if entry["table"] == self.name.split()[1]]
