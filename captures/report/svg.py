"""SVG as text: a few element helpers with escaping; colours come from the page's style sheet by class."""

from __future__ import annotations

from html import escape

Number = float | int


def tag(name: str, content: str = "", /, **attributes: object) -> str:
    """One element; `class_` and `stroke_width` become class and stroke-width, None leaves one out."""
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    return f"<{name}{''.join(parts)}>{content}</{name}>" if content else f"<{name}{''.join(parts)}/>"


def _text(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def text(x: Number, y: Number, content: str, css: str = "", anchor: str = "middle", **more: object) -> str:
    """A line of text at its baseline."""
    return tag("text", escape(content), x=x, y=y, text_anchor=anchor, class_=css or None, **more)


def line(x1: Number, y1: Number, x2: Number, y2: Number, css: str, **more: object) -> str:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=css, **more)


def rect(x: Number, y: Number, width: Number, height: Number, css: str, content: str = "", **more: object) -> str:
    """A rectangle; content may be a tooltip."""
    return tag("rect", content, x=x, y=y, width=max(width, 0), height=height, class_=css, **more)


def path(d: str, css: str, content: str = "", **more: object) -> str:
    """A path."""
    return tag("path", content, d=d, class_=css, **more)


def circle(x: Number, y: Number, radius: Number, css: str, content: str = "", **more: object) -> str:
    """A circle."""
    return tag("circle", content, cx=x, cy=y, r=radius, class_=css, **more)


def group(content: str, **attributes: object) -> str:
    """A group."""
    return tag("g", content, **attributes)


def title(content: str) -> str:
    """A tooltip."""
    return tag("title", escape(content))


def width_of(content: str, size: float, mono: bool = False) -> float:
    """Estimated width of a line of text in pixels at a font size."""
    return len(content) * size * (0.602 if mono else 0.56)


def drawing(width: Number, height: Number, content: str, label: str) -> str:
    """A whole drawing that scales with the page."""
    return tag(
        "svg",
        content,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
        xmlns="http://www.w3.org/2000/svg",
    )
