"""Node shapes of the topology drawing, each centred on (x, y), recognisable by role."""

from __future__ import annotations

from captures.report.svg import circle, group, line, path, rect


def router(x: float, y: float) -> str:
    """Core router: a disc with four arrows."""
    arrows = "".join(
        path(f"M{x + a * 5} {y + b * 5}L{x + a * 17} {y + b * 17}", "icon-line", marker_end="url(#tip)")
        for a, b in ((0.7, 0.7), (-0.7, -0.7), (0.7, -0.7), (-0.7, 0.7))
    )
    return circle(x, y, 26, "node core") + arrows


def gateway(x: float, y: float, colour: str) -> str:
    """Distributed gateway: a hexagon with a mast."""
    corners = ((-28, 0), (-15, -22), (15, -22), (28, 0), (15, 22), (-15, 22))
    outline = "L".join(f"{x + a:g} {y + b:g}" for a, b in corners)
    mast = path(f"M{x - 8} {y + 13}L{x} {y - 10}L{x + 8} {y + 13}M{x - 5} {y + 4}h10", "icon-line")
    waves = path(f"M{x - 7} {y - 16}a9 9 0 0 0 0 12M{x + 7} {y - 16}a9 9 0 0 1 0 12", "icon-line")
    return path(f"M{outline}Z", f"node gateway {colour}") + mast + waves


def database(x: float, y: float) -> str:
    """Central mobility database: a cylinder."""
    body = f"M{x - 22} {y - 17}v34a22 8 0 0 0 44 0v-34"
    lid = f"M{x - 22} {y - 17}a22 8 0 0 1 44 0a22 8 0 0 1 -44 0"
    ring = f"M{x - 22} {y - 1}a22 8 0 0 0 44 0"
    return path(body, "node cmd") + path(lid, "node cmd") + path(ring, "icon-line")


def host(x: float, y: float) -> str:
    """Correspondent node: a screen on a stand."""
    screen = rect(x - 25, y - 21, 50, 33, "node host", rx=4)
    return (
        screen
        + rect(x - 19, y - 15, 38, 21, "icon-screen", rx=2)
        + path(f"M{x} {y + 12}v7M{x - 12} {y + 20}h24", "icon-line")
    )


def phone(x: float, y: float) -> str:
    """Mobile node: a phone."""
    body = rect(x - 13, y - 23, 26, 46, "node mobile", rx=5)
    return body + rect(x - 9, y - 17, 18, 29, "icon-screen", rx=1.5) + circle(x, y + 17.5, 2, "icon-dot")


def cell(x: float, y: float) -> str:
    """Radio cell: an ellipse with waves."""
    shape = path(f"M{x - 74} {y}a74 21 0 0 1 148 0a74 21 0 0 1 -148 0", "cell")
    waves = "".join(path(f"M{x - r} {y - 4}a{r} {r * 0.62:g} 0 0 1 {2 * r} 0", "cell-wave") for r in (6, 12, 18))
    return shape + waves


def box(x: float, y: float) -> str:
    """Any other node."""
    return group(rect(x - 24, y - 18, 48, 36, "node host", rx=5) + line(x - 14, y, x + 14, y, "icon-line"))


def server(x: float, y: float) -> str:
    """Server or home agent: two units of a rack."""
    units = "".join(rect(x - 23, y + at, 46, 16, "node host", rx=3) for at in (-17, 1))
    return units + "".join(
        circle(x - 15, y + at, 2, "icon-dot") + line(x - 6, y + at, x + 15, y + at, "icon-line") for at in (-9, 9)
    )


def small_router(x: float, y: float) -> str:
    """A router other than the core."""
    arrows = path(f"M{x - 12} {y - 5}h24M{x + 12} {y + 5}h-24", "icon-line")
    tips = path(f"M{x + 8} {y - 9}l4 4l-4 4M{x - 8} {y + 1}l-4 4l4 4", "icon-line")
    return circle(x, y, 20, "node core") + arrows + tips


def mobile_router(x: float, y: float) -> str:
    """What moves and routes: a box with an antenna."""
    body = rect(x - 24, y - 10, 48, 26, "node host", rx=5)
    antenna = path(f"M{x + 14} {y - 10}v-13M{x - 14} {y + 3}h12", "icon-line")
    waves = path(f"M{x + 9} {y - 25}a6 6 0 0 0 0 9M{x + 19} {y - 25}a6 6 0 0 1 0 9", "icon-line")
    return group(body + antenna + waves + circle(x + 12, y + 3, 2, "icon-dot"))


def nat(x: float, y: float) -> str:
    """A NAT: a wall with a way through."""
    wall = rect(x - 24, y - 18, 48, 36, "node host", rx=5)
    gap = path(f"M{x} {y - 18}v11M{x} {y + 7}v11", "icon-line")
    return group(wall + gap + path(f"M{x - 15} {y}h30M{x + 10} {y - 5}l5 5l-5 5", "icon-line"))
