"""How the site is made of these pages: `scripts/docs`."""

import importlib.metadata
import re
from pathlib import Path

project = "katrio"
version = release = importlib.metadata.version("katrio")
copyright = "katrio's authors"  # noqa: A001  # Sphinx reads it by this name

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["examples"]
html_theme = "furo"
html_title = f"katrio {version}"
html_show_copyright = False
html_show_sphinx = False
# the browser's own fonts, and nothing fetched from elsewhere
html_theme_options = {"top_of_page_buttons": []}

myst_heading_anchors = 4
# docstrings are written with single backticks, as the pages are
default_role = "code"
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False

# what stands at the top of the repository is a page of the site, whose file here has only a line of its own
_ROOT = Path(__file__).resolve().parents[1]
_TOP = {"README.md": "start", "CONTRIBUTING.md": "contributing", "SECURITY.md": "security", "CHANGELOG.md": "changes"}
_PAGES = {page: name for name, page in _TOP.items()}
_LINK = re.compile(r"\[([^\]]+)\]\((?![a-z+]+:|#)([^)#\s]+)(#[^)]*)?\)")


def _read(_app: object, page: str, source: list[str]) -> None:
    folder = _ROOT / "docs"
    if page in _PAGES:
        folder = _ROOT
        source[0] = (folder / _PAGES[page]).read_text()

    def to_a_page(link: re.Match[str]) -> str:
        """The code is not part of the site: what links to a file of it keeps its words."""
        text, target, anchor = link.groups()
        path = (folder / target).resolve().relative_to(_ROOT)
        name = str(path.relative_to("docs")) if path.parts[0] == "docs" else f"{_TOP.get(str(path), path)}.md"
        return f"[{text}]({name}{anchor or ''})" if (_ROOT / "docs" / name).is_file() else text

    source[0] = _LINK.sub(to_a_page, source[0])


def _plain(annotations: str) -> str:
    """`Annotated[int, Rule(...)]` is an int to who reads: the rules stand with the fields."""
    head, found, rest = annotations.partition("~typing.Annotated[")
    if not found:
        return annotations
    depth, comma = 1, 0
    for at, sign in enumerate(rest):
        depth += (sign in "[({") - (sign in "])}")
        if depth == 1 and sign == "," and not comma:
            comma = at
        if depth == 0:
            return head + _plain(rest[:comma] + rest[at + 1 :])
    return annotations


def _signature(
    _app: object, _what: str, _name: str, _object: object, _options: object, *texts: str | None
) -> list[str | None]:
    """Its arguments and its result; a property has neither."""
    return [text and _plain(text) for text in texts]


def setup(app: "Sphinx") -> None:  # noqa: F821
    """Sphinx calls it."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-signature", _signature)
