"""Drawings of a topology: everything is on them, and they are well formed whatever the names are."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from topologies.cli.drawing import Drawing, as_dot, as_svg, as_text

PLAIN = Drawing(
    "basic: two hosts",
    {"cn1": "correspondent", "core": "core", "dgw1": "gateway"},
    ((("cn1", "eth0"), ("core", "cn1")), (("core", "dgw1"), ("dgw1", "wan"))),
    {"cn1": "2001:db8::1/64"},
)
ODD = Drawing('<"odd"> & \\', {'a"b': "", "c<d>": "gateway"}, ((('a"b', "x&y"), ("c<d>", "z")),))
EMPTY = Drawing("nothing", {}, ())


@pytest.mark.parametrize("drawing", [PLAIN, ODD, EMPTY])
def test_svg_is_well_formed_and_complete(drawing: Drawing) -> None:
    root = ElementTree.fromstring(as_svg(drawing))
    words = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert set(drawing.roles) <= words
    assert len(root.findall("{http://www.w3.org/2000/svg}line")) == len(drawing.links)


def test_text_names_every_link_from_both_ends() -> None:
    text = as_text(PLAIN)
    assert " └─ eth0 ── core:cn1" in text
    assert " └─ wan ── core:dgw1" in text
    assert text.index("cn1 (correspondent)") < text.index("dgw1 (gateway)")
    assert "2001:db8::1/64" in text


def test_dot_quotes_names() -> None:
    assert '"a\\"b" -- "c<d>" [taillabel="x&y", headlabel="z"];' in as_dot(ODD)
    assert as_dot(PLAIN).startswith('graph "basic: two hosts" {')
