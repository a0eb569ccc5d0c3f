"""Captions of the topology drawing: nothing hides anything, however many nodes there are."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from captures.report.captions import ICON, Caption, Plate, draw_captions, draw_plates
from captures.report.layout import WIDTH, Places, row
from captures.report.svg import width_of

TEXT = re.compile(r'<text x="([-\d.]+)" y="([-\d.]+)" text-anchor="(\w+)" class="([^"]+)">([^<]+)</text>')
START = {"start": 0.0, "middle": 0.5, "end": 1.0}


def boxes(drawn: str) -> list[tuple[float, float, float, str]]:
    """(left, right, base line, text) of every line of text."""
    found = []
    for x, y, anchor, css, content in TEXT.findall(drawn):
        wide = width_of(content, 13 if "name" in css else 11, "mono" in css)
        left = float(x) - START[anchor] * wide
        found.append((left, left + wide, float(y), content))
    return found


def crowd(number: int) -> tuple[Places, dict[str, Caption]]:
    place, _deeper = row([f"c{index + 1}" for index in range(number)], 500.0)
    return place, {name: Caption((name, "client", "198.19.100.100")) for name in place}


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6, 8, 12, 20, 40, 90])
def test_captions_hide_neither_each_other_nor_a_node(number: int) -> None:
    place, captions = crowd(number)
    found = boxes(draw_captions(place, captions, hub=270.0))
    assert set(place) <= {content for *_, content in found}
    for left, right, y, content in found:
        assert left >= 0, content
        assert right <= WIDTH, content
        hidden = [name for name, (x, at) in place.items() if left < x + ICON and x - ICON < right and abs(at - y) < 18]
        assert not hidden, f"{content} is written over {hidden}"
    for one, other in combinations(found, 2):
        apart = one[1] <= other[0] or other[1] <= one[0] or abs(one[2] - other[2]) >= 10
        assert apart, f"{one} and {other} hide each other"


def test_addresses_are_written_where_there_is_room() -> None:
    for number, written in ((2, ["client", "198.19.100.100"]), (8, ["198.19.100.100"]), (40, [])):
        texts = {content for *_, content in boxes(draw_captions(*crowd(number), hub=270.0))}
        assert [one for one in ("client", "198.19.100.100") if one in texts] == written


def test_networks_that_would_hide_each_other_are_not_written() -> None:
    near = [Plate(100.0, 50.0, "203.0.113.0/31"), Plate(150.0, 50.0, "203.0.113.2/31")]
    far = [Plate(100.0, 50.0, "203.0.113.0/31"), Plate(350.0, 50.0, "203.0.113.2/31")]
    assert draw_plates(near) == ""
    assert [content for *_, content in boxes(draw_plates(far))] == ["203.0.113.0/31", "203.0.113.2/31"]
