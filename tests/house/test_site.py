"""The site lists what is public, and pictures have words."""

import re
from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if not {"_build", "gallery"} & set(path.parts))


@pytest.mark.parametrize("page", sorted((DOCS / "api").glob("*.rst")), ids=lambda page: page.stem)
def test_the_reference_has_every_public_name_of_a_module(page):
    text = page.read_text()
    (module,) = re.findall(r"^\.\. currentmodule:: (\S+)$", text, re.MULTILINE)
    listed = re.findall(r"^   (\w+)$", text, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == {name for name in import_module(module).__all__ if not name.startswith("_")}


def test_there_are_pages():
    assert len(PAGES) > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_pictures_and_parts_of_a_page_are_there_and_pictures_have_words(page):
    text = page.read_text()
    for words, picture in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text):
        assert len(words.split()) > 3, picture
        assert (page.parent / picture).exists(), picture
    for part in re.findall(r"```\{include\} (\S+)", text):
        assert (page.parent / part).exists(), part
