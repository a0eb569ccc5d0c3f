"""A content network over the domain, shared by the labs `ietf87` (distributed) and `central-anchor` (classic).

     origin   cache0   cmd or lma        origin: the film's home; cache0: cache of the operator's centre
          \\     |      /                 lma: the anchor of the classic mode, in the place of the cmd
             centre                      2001:db8:f::/64 origin, 2001:db8:d::/64 cache0, 2001:db8:c:9::/64 cmd/lma
                |
              core                       2001:db8:c:100::/64 core - centre, MTU 1600 like all core links
             /    \\
  cache1 - dgw1  dgw2 - cache2           2001:db8:d:N::/64 caches at the gateways
             |    |
          cell1  cell2                   mn1 begins a film at dgw1, moves to dgw2, and asks for more there

The content's name stands for one anycast address that every cache has (2001:db8:cd::80), and every router's static
route to it leads to the nearest cache: a gateway's to its own, the centre's to cache0.  Anycast rather than a
resolver per gateway: it is what content networks do, it needs no software, and the running download shows what
anchoring means: its packets still enter the network at the first gateway, hence still reach the first cache.

The network, the caches and the script are the same in both labs; only the anchoring differs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from testbed.mininet_api import Topo
from testbed.nodes import Air, Cell, Host, MobileHost, Router
from topologies import traffic
from topologies.dgw.checks import classic_checks, walk_checks
from topologies.dgw.classic import HOME_POOL, LMA_ADDRESS, ClassicPlan
from topologies.dgw.lab import DgwLab
from topologies.dgw.plan import CMD_ADDRESS, CORE_MTU, DgwOptions, DgwPlan, Gateway, Mobile
from topologies.dgw.settling import wait_until_settled
from topologies.lab import RUNTIME, WebServerSpec, option
from topologies.runner import Run

GATEWAYS = 2
CONTENT_NAME = "film.example"
CONTENT_ADDRESS = "2001:db8:cd::80"
"""Anycast: every cache has it."""
ORIGIN_ADDRESS = "2001:db8:f::2"
CENTRE, CORE = "2001:db8:c:100::2", "2001:db8:c:100::1"
FILM, PART = "film", "part"
SIZES = {FILM: 1_500_000, PART: 20_000}
"""Octets of what there is to download."""
RATES = {"film-1": 250_000, "film-2": 750_000}
"""Octets a second at which a cache sends, at the player's wish: the first film lasts longer than the move.
Less where the machine is slow."""
SLOWEST = 5.0
"""How much less at most."""
PARTS = 5
"""Small requests at each gateway, for a median of their latencies."""
MAX_STALL_MS = 1500.0
"""Longest silence of the running download around the move: the cache pauses to keep its rate, TCP has to repeat."""


@dataclass(frozen=True)
class ContentOptions(DgwOptions):
    """Options of both labs."""

    delay: float = option(0.0, "one-way delay of every core link in ms (needs netem)")


@dataclass(frozen=True)
class Cache:
    """A content cache: number 0 in the centre, number N at gateway N."""

    index: int

    @property
    def name(self) -> str:
        """Node name."""
        return f"cache{self.index}"

    @property
    def network(self) -> str:
        """Its link's prefix."""
        return "2001:db8:d::/64" if self.index == 0 else f"2001:db8:d:{self.index}::/64"

    @property
    def router(self) -> str:
        """Its router's address."""
        return self.network.removesuffix("/64") + "1"

    @property
    def address(self) -> str:
        """Its own address, from which it asks the origin."""
        return self.network.removesuffix("/64") + "2"


CACHES = tuple(Cache(index) for index in range(GATEWAYS + 1))


class ContentTopo(Topo):
    """The domain with an operator's centre, caches and an origin."""

    def build(self, central: str = "cmd", delay: float = 0.0, **_opts: Any) -> None:
        """Names, addresses and links; nothing else."""
        self.core_link = {"mtu": CORE_MTU, "delay": delay or None}
        gateways = [Gateway(index) for index in range(1, GATEWAYS + 1)]
        routes = [(gateway.pool, gateway.address) for gateway in gateways]
        routes += [(CACHES[gateway.index].network, gateway.address) for gateway in gateways]
        core = self.addHost("core", cls=Router, role="core", routes=[*routes, ("default", CENTRE)])
        self.addSwitch("air", cls=Air)
        for gateway in gateways:
            self._add_gateway_with_cache(core, gateway)
        self._add_centre(core, central)
        for mobile in (Mobile(1),):
            self.addHost(mobile.name, cls=MobileHost, role="mobile")
            self.addLink(mobile.name, "air", intfName1="eth0", params1={"mac": mobile.mac})

    def _add_gateway_with_cache(self, core: str, gateway: Gateway) -> None:
        cache = CACHES[gateway.index]
        routes = [("default", gateway.core), (f"{CONTENT_ADDRESS}/128", cache.address)]
        self.addHost(gateway.name, cls=Router, role="gateway", routes=routes)
        self.addSwitch(gateway.cell, cls=Cell, air="air")
        self._join(core, gateway.name, gateway.core, gateway.address, (gateway.name, "wan"), **self.core_link)
        self.addLink(gateway.name, gateway.cell, intfName1="phy")
        self._add_cache(gateway.name, cache)

    def _add_centre(self, core: str, central: str) -> None:
        cache = CACHES[0]
        routes = [("default", CORE), (f"{CONTENT_ADDRESS}/128", cache.address)]
        if central == "lma":
            routes.append((HOME_POOL, LMA_ADDRESS))
        centre = self.addHost("centre", cls=Router, role="core", routes=routes)
        self._join(core, centre, CORE, CENTRE, ("centre", "core"), **self.core_link)
        self._add_cache(centre, cache)
        for name, role, address, options in (
            ("origin", "correspondent", ORIGIN_ADDRESS, {}),
            (central, central, CMD_ADDRESS, self.core_link),
        ):
            router = address.removesuffix("2") + "1"
            kind = Router if role == "lma" else Host
            self.addHost(name, cls=kind, role=role, routes=[("default", router)])
            self._join(centre, name, router, address, (name, "eth0"), **options)

    def _add_cache(self, router: str, cache: Cache) -> None:
        routes = [("default", cache.router)]
        self.addHost(cache.name, cls=Host, role="cache", routes=routes, addresses=[f"{CONTENT_ADDRESS}/128"])
        self._join(router, cache.name, cache.router, cache.address, ("cdn", "eth0"))

    def _join(self, one: str, two: str, near: str, far: str, names: tuple[str, str], **options: Any) -> None:
        self.addLink(
            one,
            two,
            intfName1=names[0],
            intfName2=names[1],
            params1={"addresses": [f"{near}/64"]},
            params2={"addresses": [f"{far}/64"]},
            **options,
        )


@dataclass(frozen=True)
class ContentPlan(DgwPlan):
    """The distributed domain with caches."""

    options: ContentOptions

    @property
    def nearest(self) -> dict[str, str]:
        """Gateway -> the cache that a request made there reaches."""
        return {gateway.name: CACHES[gateway.index].name for gateway in self.gateway_list}

    def topo(self) -> ContentTopo:
        """The topology."""
        return ContentTopo(central=self.central, delay=self.options.delay)

    def captures(self) -> list[tuple[str, str]]:
        """As everywhere, and the caches, the gateways' links to them, and the link between core and centre."""
        caches = [("origin", "eth0"), *((cache.name, "eth0") for cache in CACHES)]
        return [
            *super().captures(),
            *((gateway.name, "cdn") for gateway in self.gateway_list),
            *caches,
            ("centre", "core"),
        ]

    def domain(self) -> dict[str, Any]:
        """As everywhere, and where the content is."""
        return {
            **super().domain(),
            "correspondents": {"origin": ORIGIN_ADDRESS},
            "content": {
                "name": CONTENT_NAME,
                "address": CONTENT_ADDRESS,
                "origin": "origin",
                "caches": {cache.name: cache.address for cache in CACHES},
                "nearest": self.nearest,
                "core_links": {
                    **{f"core–{gateway.name}": [gateway.name, "wan"] for gateway in self.gateway_list},
                    "core–centre": ["centre", "core"],
                    f"centre–{self.central}": [self.central, "eth0"],
                },
            },
        }

    def web_servers(self) -> list[WebServerSpec]:
        """The origin, and caches that ask it once for everything."""
        files = {name: _text(name, size) for name, size in SIZES.items()}
        origin = WebServerSpec("origin", f"{RUNTIME}/origin", _ORIGIN, files)
        return [origin, *(WebServerSpec(cache.name, f"{RUNTIME}/{cache.name}", _CACHE) for cache in CACHES)]


@dataclass(frozen=True)
class CentralContentPlan(ContentPlan, ClassicPlan):
    """The same network, its nodes anchored centrally."""

    central: str = "lma"

    @property
    def nearest(self) -> dict[str, str]:
        """Every request comes out of the tunnel at the anchor, and the cache nearest to it is the centre's."""
        return {gateway.name: CACHES[0].name for gateway in self.gateway_list}

    def topo(self) -> ContentTopo:
        """The topology."""
        return ContentTopo(central=self.central, delay=self.options.delay)


_ORIGIN = """\
  server { listen [::]:80; root {folder}/content; }
"""
_CACHE = f"""\
  proxy_cache_path {{folder}}/cache keys_zone=content:1m max_size=64m use_temp_path=off;
  server {{
    listen [::]:80;
    location / {{
      proxy_pass http://[{ORIGIN_ADDRESS}];
      proxy_set_header Host $host;
      proxy_cache content;
      proxy_cache_key $uri;
      limit_rate $arg_rate;
      proxy_cache_valid 200 1h;
      proxy_cache_lock on;
      add_header X-Cache-Status $upstream_cache_status;
    }}
  }}
"""


def _text(name: str, size: int) -> str:
    """Content of this many octets that nothing on the way could shorten or guess."""
    return random.Random(name).randbytes(size // 2).hex()


class ContentLab(DgwLab):
    """Both labs: a film begun at one gateway, watched on at the other, and more of it asked for there."""

    options = ContentOptions
    scenario = "SC-IETF87"
    hops: tuple[int, int]
    """Routers between mn1 and its cache: of requests, and of the running download after the move."""

    def plan(self, options: Any) -> ContentPlan:
        """Size, addresses and configurations of the lab."""
        raise NotImplementedError

    def web_servers(self, options: Any) -> list[WebServerSpec]:
        """Origin and caches."""
        return self.plan(options).web_servers()

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """As after any walk, the flows being the origin's pings; and what became of the downloads."""
        walk = classic_checks(slowness) if options.mode == "classic" else walk_checks(slowness)
        pings = [f"origin-pings-{number}" for number in range(1, GATEWAYS + 1)]
        walk = [{**check, "names": pings} if check["check"] == "flows" else check for check in walk]
        request, moved = self.hops
        content = {"check": "content", "hops": request, "hops_moved": moved, "max_stall_ms": MAX_STALL_MS * slowness}
        return [*walk, content]

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return [
            "mn1 attaches to dgw1, makes some small requests, and begins to download a film",
            "mn1 moves to dgw2: the download goes on",
            "mn1 makes further requests there and downloads the film once more",
            "both downloads end",
        ]

    def script(self, run: Run, options: Any) -> None:
        """Play it; the same for both labs."""
        plan = self.plan(options)
        first, second = plan.gateway_list
        traffic.publish(run, "origin", f"{RUNTIME}/origin/content", SIZES)
        run.step("mn1 attaches to dgw1 and begins to download")
        run.net.attach("mn1", first.cell)
        film = self._visit(run, plan, first)
        traffic.wait_for_progress([film], SIZES[FILM] // 20)
        run.step("mn1 moves to dgw2, the download goes on")
        run.net.move("mn1", second.cell)
        traffic.wait_for_progress([film], SIZES[FILM] // 50)
        wait_until_settled(run)  # the new request's source is the host's choice: by what it was told of the old one
        again = self._visit(run, plan, second)
        run.step("both downloads end")
        for flow in (again, film):
            flow.finish()
        run.step("done")

    def _visit(self, run: Run, plan: ContentPlan, gateway: Gateway) -> traffic.Flow:
        """Small requests one after the other, then the film; the origin pings the address all the time."""
        address = traffic.address_in(run, "mn1", plan.pool_at(gateway))
        number = gateway.index
        traffic.ping(run, f"origin-pings-{number}", "origin", "mn1", address)
        # With the deprecated prefix out of the question the host finds the right source itself; else it is told.
        bind = plan.options.ra_profile != "deprecate"
        where = traffic.Content("mn1", address, CONTENT_NAME, CONTENT_ADDRESS, bind)
        for count in range(1, PARTS + 1):
            traffic.download(run, f"part-{number}.{count}", where, PART).finish()
        rate = int(RATES[f"film-{number}"] / min(run.slowness, SLOWEST))
        return traffic.download(run, f"film-{number}", where, FILM, rate)
