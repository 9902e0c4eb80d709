"""Markdown pages of the documentation: their fenced blocks, headings and links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")],
    key=lambda page: (len(page.parts), page.name),
)
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """``words`` are what its fence says: the language, how it is to be tried, the file that it is."""

    page: Path
    line: int
    section: str
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"

    @property
    def language(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def file(self) -> str:
        """The name that it is saved under, where its fence says one."""
        return next((word for word in self.words[1:] if "." in word), "")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start()) + 1,
            _section(text[: found.start()]),
            tuple(found[1].split()),
            found[2],
        )
        for found in _FENCE.finditer(text)
    ]


def all_blocks(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def _section(before: str) -> str:
    """The heading of the second level that stands above."""
    headings = re.findall(r"^## (.+)$", _FENCE.sub("", before), re.M)
    return headings[-1] if headings else ""


def prose(page: Path) -> str:
    """All that is not in blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Of its headings, as they are made by those who show Markdown."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.M):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower())
        found.add(plain.replace(" ", "-"))
    return found


def links(page: Path) -> list[str]:
    """What it leads to, inside the repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [each for each in targets if not re.match(r"[a-z]+:", each)]
