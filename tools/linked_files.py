"""Copies files of the repository that pages link to beside them, and leads the links there: ``linked_files.py DOCS``.

A site has only what is in it: a link out of ``docs/`` would lead nowhere.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# In the site; no page of ours is called so.
FILES = "files"
# A link of Markdown to something above the pages, with what stands behind its name.
_UP = re.compile(r"\]\(\.\./(?P<path>[^)#\s]+)(?P<rest>#[^)\s]*)?\)")
# And one of such a file to a page.
_BACK = re.compile(r"\]\((?P<up>(?:\.\./)+)docs/")


def main(docs: Path) -> None:
    """Of pages that stand in the folder itself, as all that link upwards do."""
    for page in sorted(docs.glob("*.md")):
        page.write_text(_UP.sub(lambda link: _beside(docs, link), page.read_text()))


def _beside(docs: Path, link: re.Match[str]) -> str:
    path = link["path"]
    copy = docs / FILES / path
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / path, copy)
    if copy.suffix == ".md":
        # What links back to the pages finds them above the copies.
        copy.write_text(_BACK.sub(r"](../\g<up>", copy.read_text()))
    return f"]({FILES}/{path}{link['rest'] or ''})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
