"""HTML as values: what is not marked as HTML is escaped. Imports the standard library.

Tables are HTML and not data grids: they keep their place while they tick, can be read by a screen reader and by a test,
and a row is always the symbol that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

STYLE = Path(__file__).with_name("style.css")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def html(value: object) -> Html:
    """Escape a value, unless it is HTML already."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def tag(name: str, content: object, cls: str = "", **attributes: str) -> Html:
    """Wrap content in an element; underscores in attribute names become hyphens."""
    pairs = [("class", cls)] if cls else []
    pairs += [(key.replace("_", "-"), value) for key, value in attributes.items()]
    text = "".join(f' {key}="{escape(value)}"' for key, value in pairs)
    return Html(f"<{name}{text}>{html(content)}</{name}>")


def join(parts: Iterable[object]) -> Html:
    """Put parts one after the other."""
    return Html("".join(html(part) for part in parts))


def pill(text: str, tone: str = "") -> Html:
    """Render a state as a small label; its colour comes from `tone` or the text."""
    return tag("span", text, f"mx-pill mx-{(tone or text).lower()}")


def toned(text: object, tone: str) -> Html:
    """Colour a figure: gain, loss, flat, warn."""
    return tag("span", text, f"mx-{tone}")


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column; numbers are aligned at their right."""

    title: str
    is_number: bool = False
    is_wide: bool = False
    hint: str = ""


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]], empty: str, name: str) -> Html:
    """Render a table. empty: what is said when there is no row. name: its label, also for tests."""
    classes = [" ".join(filter(None, ("num" * item.is_number, "wide" * item.is_wide))) for item in columns]
    head = join(
        tag("th", item.title, cls, **({"title": item.hint} if item.hint else {}))
        for item, cls in zip(columns, classes, strict=True)
    )
    body = [tag("tr", join(tag("td", cell, cls) for cell, cls in zip(row, classes, strict=True))) for row in rows]
    if not body:
        return tag("p", empty, "mx-empty", aria_label=name)
    inner = join((tag("thead", tag("tr", head)), tag("tbody", join(body))))
    return tag("div", tag("table", inner, "mx-table", aria_label=name), "mx-scroll")


def cards(items: Iterable[tuple[str, object, object]]) -> Html:
    """Render key figures: (label, figure, small print)."""
    return tag(
        "div",
        join(
            tag(
                "div",
                join((tag("div", label, "mx-label"), tag("div", figure, "mx-figure"), tag("div", small, "mx-small"))),
                "mx-card",
            )
            for label, figure, small in items
        ),
        "mx-cards",
    )


def section(title: str, *content: object) -> Html:
    """Put a title above content."""
    return tag("section", join([tag("div", title, "mx-section"), *content]))


def facts(items: Iterable[tuple[str, object]]) -> Html:
    """Render names and values beneath each other."""
    return tag("dl", join(join((tag("dt", name), tag("dd", value))) for name, value in items), "mx-facts")


def style() -> str:
    """Return the page's style sheet as an element."""
    return f"<style>{STYLE.read_text(encoding='utf-8')}</style>"
