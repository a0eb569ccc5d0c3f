"""What a lab is: a topology of plain data, which program runs where, a script of events, and what must be true.

A lab's module ends with `LAB = TheLab()`; `topologies.catalog` finds it by its file name.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from testbed.exabgp import BgpSpeaker
from testbed.mininet_api import Topo
from testbed.validation import LabError, unknown

if TYPE_CHECKING:
    from topologies.runner import Run


RUNTIME = "{runtime}"
"""Stands in agents' configurations for a private folder of the run: sockets, pid files, saved state."""


def option(default: Any, help: str, choices: tuple[Any, ...] = (), *, within: tuple[float, float] | None = None) -> Any:
    """A field of a lab's options: its default, a line of help, and the values allowed if they are few, or numbers."""
    return field(default=default, metadata={"help": help, "choices": choices, "within": within})


@dataclass(frozen=True)
class AgentSpec:
    """An agent of a lab."""

    node: str
    name: str
    module: str
    config: dict[str, Any]
    cells: tuple[str, ...] = ()
    """Radio cells whose stations are reported to this agent."""
    secrets: dict[str, Any] = field(default_factory=dict, repr=False)
    """Further keys of its configuration, such as key material: no file but the run's secrets.json shows them."""

    @property
    def role(self) -> str:
        """What it is told to be; agents of one role, next to each other, are started side by side."""
        return str(self.config.get("role", ""))

    def located(self, runtime: str) -> AgentSpec:
        """The same agent with its files below `runtime`."""
        return replace(self, config=_located(self.config, runtime))


@dataclass(frozen=True)
class RadvdSpec:
    """A radvd of a lab, started before the agents; an agent may rewrite its configuration."""

    node: str
    config: str
    pid_file: str

    def located(self, runtime: str) -> RadvdSpec:
        """The same radvd with its files below `runtime`."""
        return RadvdSpec(self.node, _located(self.config, runtime), _located(self.pid_file, runtime))


@dataclass(frozen=True)
class KeaSpec:
    """A Kea of a lab, started before the agents; its files are in `folder`."""

    node: str
    settings: dict[str, Any]
    folder: str

    def located(self, runtime: str) -> KeaSpec:
        """The same Kea with its files below `runtime`."""
        return replace(self, folder=_located(self.folder, runtime))


@dataclass(frozen=True)
class ExaBgpSpec:
    """An ExaBGP of a lab, started before the agents; its files are in `folder`."""

    node: str
    speaker: BgpSpeaker
    folder: str

    def located(self, runtime: str) -> ExaBgpSpec:
        """The same ExaBGP with its files, and those its program is told of, below `runtime`."""
        program = tuple(_located(word, runtime) for word in self.speaker.program)
        return replace(self, folder=_located(self.folder, runtime), speaker=replace(self.speaker, program=program))


@dataclass(frozen=True)
class BirdSpec:
    """A BIRD of a lab, started before the agents; its files are in `folder`."""

    node: str
    router_id: str
    asn: int
    body: str
    folder: str

    def located(self, runtime: str) -> BirdSpec:
        """The same BIRD with its files below `runtime`."""
        return replace(self, folder=_located(self.folder, runtime))


@dataclass(frozen=True)
class WebServerSpec:
    """An nginx of a lab, started before the agents; its access log goes to the run directory's logs/."""

    node: str
    folder: str
    """Its own files: configuration, cache, pid."""
    body: str
    """The inside of its `http` block; {folder} stands for the folder."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What it serves, by name below {folder}/content."""

    def located(self, runtime: str) -> WebServerSpec:
        """The same server with its files below `runtime`."""
        return replace(self, folder=_located(self.folder, runtime))


def _located(value: Any, runtime: str) -> Any:
    if isinstance(value, str):
        return value.replace(RUNTIME, runtime)
    if isinstance(value, dict):
        return {key: _located(item, runtime) for key, item in value.items()}
    if isinstance(value, list):
        return [_located(item, runtime) for item in value]
    return value


class Lab(ABC):
    """Base of all labs."""

    name: ClassVar[str]
    title: ClassVar[str]
    """One line."""
    options: ClassVar[type]
    """Frozen dataclass of the lab's options, made of `option(...)` fields."""
    variants: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Options with which the demo tests play the lab."""
    stock_variants: ClassVar[tuple[dict[str, Any], ...]] = ()
    """Options with which the tests under a stock kernel play it besides; skipped where the kernel cannot."""

    @property
    def scenario(self) -> str:
        """Scenario of the fact sheet that the lab is, empty for none; as a rule its name says which."""
        return self.name.upper() if self.name.startswith("sc-") else ""

    @property
    def summary(self) -> str:
        """What the lab shows, one line for `roamlab labs`."""
        return (self.__doc__ or self.title).strip().splitlines()[0]

    @property
    def file(self) -> str:
        """The lab's file, for error messages."""
        import inspect

        return Path(inspect.getfile(type(self))).name

    def configure(self, **values: Any) -> Any:
        """The lab's options with these values; LabError names an unknown one with its nearest valid key."""
        fields = {f.name: f for f in dataclasses.fields(self.options)}
        for key, value in values.items():
            if key not in fields:
                raise LabError(f"{self.file}: {unknown('option', key, fields)}")
            choices = fields[key].metadata.get("choices")
            if choices and value not in choices:
                allowed = ", ".join(str(choice) for choice in choices)
                raise LabError(f"{self.file}: option {key}: {value!r} is not one of {allowed}")
            within = fields[key].metadata.get("within")
            if within and not within[0] <= value <= within[1]:
                raise LabError(f"{self.file}: option {key}: {value} is not in {within[0]}..{within[1]}")
        return self.options(**values)

    def validate(self, options: Any) -> None:
        """Build the topology and the agents' configurations without starting anything (LabError)."""
        from testbed.network import Network

        Network(self.topo(options), source=self.file)
        self.agents(options)

    @abstractmethod
    def topo(self, options: Any) -> Topo:
        """The topology as plain data."""

    @abstractmethod
    def agents(self, options: Any) -> list[AgentSpec]:
        """Which agents run where, in starting order of the roles."""

    @abstractmethod
    def captures(self, options: Any) -> list[tuple[str, str]]:
        """(node, interface) to record."""

    @abstractmethod
    def script(self, run: Run, options: Any) -> None:
        """Play the lab's events."""

    def finished(self, run: Run, options: Any) -> None:  # noqa: B027 - most labs have nothing to add
        """Record what the checks want to know of the end, when the script is over and its flows have stopped.

        Nothing follows but the end of the run: captures may be stopped and services told to let go.
        """

    def radvds(self, options: Any) -> list[RadvdSpec]:
        """Which nodes run a radvd."""
        return []

    def keas(self, options: Any) -> list[KeaSpec]:
        """Which nodes run a Kea."""
        return []

    def exabgps(self, options: Any) -> list[ExaBgpSpec]:
        """Which nodes run an ExaBGP."""
        return []

    def birds(self, options: Any) -> list[BirdSpec]:
        """Which nodes run a BIRD."""
        return []

    def web_servers(self, options: Any) -> list[WebServerSpec]:
        """Which nodes run an nginx."""
        return []

    def domain(self, options: Any) -> dict[str, Any]:
        """Facts that checks need, for lab.json."""
        return {}

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Checks to run on the captures: `{"check": name, ...parameters}`, for lab.json.

        `slowness` is 1.0 on a real machine; time bounds are multiplied by it on an emulated one.
        """
        return []

    def standing_checks(self, options: Any) -> list[dict[str, Any]]:
        """Checks that options call for in every lab of the family, whatever `checks` a lab has of its own."""
        return []

    def steps(self, options: Any) -> list[str]:
        """What the script will do, for `--dry-run`."""
        return []
