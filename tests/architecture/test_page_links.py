"""Every link of README, CHANGELOG and docs leads somewhere in this tree, and to a heading that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
# A fence's content is code; inline code may show what a link looks like.
CODE = re.compile(r"^(```|~~~).*?^\1[ \t]*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]*)>?[^)]*\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


def dead_links(page: Path) -> Iterator[str]:
    """Give the targets of a page's links that lead nowhere; addresses of the web are not followed."""
    for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (page.parent / name) if name else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            yield target


def anchors(page: Path) -> set[str]:
    """Give the names of a page's headings as GitHub makes them: lower case, without punctuation, hyphens for blanks."""
    if page.is_dir():
        return set()
    found: set[str] = set()
    for title in HEADING.findall(
        re.sub(r"^(```|~~~).*?^\1[ \t]*$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    ):
        name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = sum(1 for other in found if re.fullmatch(re.escape(name) + r"(-\d+)?", other))
        found.add(f"{name}-{count}" if count else name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_links_only_to_what_exists(page: Path) -> None:
    assert list(dead_links(page)) == []


def test_page_with_links_that_lead_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One, two\n[a](#one-two) [b](#three) [c](page.md#one-two) [d](gone.md) [e](https://x.y/z)\n"
        "```\n# no heading\n[f](gone-too.md)\n```\n`[g](code.md)` [h](#no-heading)\n",
        encoding="utf-8",
    )
    assert list(dead_links(page)) == ["#three", "gone.md", "#no-heading"]
