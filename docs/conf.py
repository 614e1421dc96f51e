"""Settings of Sphinx for the documentation site; `make docs` builds it (tools/docs_site.py)."""

import re
from typing import Any

from docutils import nodes

from imil import __version__

project = "imil"
author = "the imil authors"
version = release = __version__
html_title = f"imil {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4  # the anchors that a code host makes, for links to headings
smartquotes = False  # "--model" stays two hyphens
default_role = "code"  # docstrings write `name`, as Markdown does
napoleon_custom_sections = [("Source", "returns_style")]
napoleon_use_rtype = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
add_module_names = False

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = html_logo = "../src/imil/web/static/icon.svg"
html_copy_source = False
html_use_index = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#00658a", "color-brand-content": "#00658a"},
    "dark_css_variables": {"color-brand-primary": "#3fd0ff", "color-brand-content": "#3fd0ff"},
}


def setup(app: Any) -> None:
    """Read docstrings as they are written here, before napoleon does, and set dashes."""
    app.connect("autodoc-process-docstring", split_titles, priority=400)
    app.connect("doctree-read", draw_dashes)


def draw_dashes(app: Any, doctree: nodes.document) -> None:
    """Put a dash between a parameter and its description, where Sphinx writes two hyphens."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def split_titles(
    app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Put what follows `Raises:` on its line below it, and indent what belongs to it."""
    result, inside = [], False
    for line in lines:
        if title := re.match(r"(Returns|Raises|Source|Yields): (\S.*)", line):
            result += [f"{title[1]}:", f"    {title[2]}"]
            inside = True
        else:
            inside = inside and line.startswith(" ")
            result.append(f"    {line}" if inside else line)
    lines[:] = result
