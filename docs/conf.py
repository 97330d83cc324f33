"""The documentation site: ``pip install -e ".[docs]" && sphinx-build -W -b html docs docs/_build/html``.

Nothing is fetched from elsewhere, so that the site builds, and reads, without a network. With ``-D plot_gallery=0`` the
examples are shown and not run.
"""

import inspect
import os
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from PIL import Image
from sphinx.util.nodes import make_refnode

os.environ.setdefault("MPLBACKEND", "Agg")

import minibatch

project = "scikit-minibatch"
author = "The scikit-minibatch developers"
copyright = author
version = release = minibatch.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_codeautolink",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "*.fragment.md", "**/*.fragment.md"]  # parts, which pages include
templates_path = ["_templates"]
toc_object_entries_show_parents = "hide"  # method(), not Class.method(), beside a page

# ---------------------------------------------------------------------- text
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# ---------------------------------------------------------------------- reference
autosummary_generate = True
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # types stand in the parameters' descriptions
numpydoc_show_class_members = False  # the template of a class lists them
default_role = "py:obj"
highlight_language = "none"  # of blocks that do not say: commands, formulas
smartquotes = False  # quotes are code more often than speech


def skip_what_others_document(app, what, name, member, skip, options):
    """Methods that come from scikit-learn's base classes refer to sections of its own site; those of mappings, and the
    fields of tuples, which a class describes itself, say nothing."""
    if type(member).__name__ == "_tuplegetter":
        return True
    member = member.fget if isinstance(member, property) else inspect.unwrap(member) if callable(member) else member
    module = getattr(member, "__module__", None) or ""
    return True if module.startswith(("sklearn", "collections", "_collections_abc")) else None


def find_by_last_name(app, env, node, contnode):
    """Docstrings name public objects without their module, as users do: there is one of each name."""
    last = "." + node.get("reftarget", "").removesuffix("()")
    found = [name for name in env.domains["py"].objects if name.endswith(last)] if node["refdomain"] == "py" else []
    if len(found) != 1:
        return None
    target = env.domains["py"].objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], target.docname, target.node_id, contnode, found[0])


# names in code lead to the reference; the gallery has linked those of its scripts by itself
suppress_warnings = ["codeautolink.match_name"]


def drop_what_doctest_needs(app, *where_and_text):
    """Flags, and the empty line that ends the output of a fence: readers have no use for them, and code is linked where
    it is shown as it was written."""
    parts = where_and_text[-1]  # lines of a docstring, or the one text of a page
    parts[:] = [re.sub(r" *# doctest: \+.*$|\n(?=\n```$)", "", part, flags=re.MULTILINE) for part in parts]


# ---------------------------------------------------------------------- gallery
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"/distributed_",  # these need a cluster
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "abort_on_example_error": True,
    "write_computation_times": False,
}

# ---------------------------------------------------------------------- pages
html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_title = "scikit-minibatch"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_logo = "_static/logo.svg"
html_favicon = html_logo
html_extra_path = ["llms.txt"]
html_copy_source = False
html_show_sourcelink = False
ALONE = ("index", "quickstart", "choose", "warnings", "testing", "architecture", "glossary", "releases", "changelog")
html_sidebars = {page: [] for page in ALONE}  # pages without others beside them
html_theme_options = {
    "logo": {"text": "scikit-minibatch", "alt_text": "scikit-minibatch"},
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "navbar_persistent": ["search-button"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


WIDTH_OF_PAGE = 718  # pixels, at 1280 for the window


def write_formula(writer, node):
    """MathML, which browsers draw by themselves: no script that would be fetched from elsewhere."""
    block = isinstance(node, nodes.math_block)
    formula = tex2mathml(re.sub(r"\\[bB]ig[lr]?(?![a-z])", "", node.astext()), as_block=block)  # these stretch anyway
    writer.body.append(f'<div class="formula">{formula}</div>\n' if block else formula)
    raise nodes.SkipNode


def link_large_pictures(app, doctree):
    """Pictures with more than the page has room for lead to themselves in full size, as Sphinx does where a width is
    set."""
    for picture in doctree.findall(nodes.image):
        path = Path(app.srcdir, picture["uri"])
        if "://" in picture["uri"] or not path.is_file():
            continue
        if path.suffix == ".svg":
            width = float(re.search(r'width="([\d.]+)pt"', path.read_text())[1]) * 4 / 3
        else:
            width = Image.open(path).width
        if width > WIDTH_OF_PAGE:
            picture.setdefault("width", "100%")


def setup(app):
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))
    app.connect("autodoc-skip-member", skip_what_others_document)
    app.connect("missing-reference", find_by_last_name)
    app.connect("doctree-read", link_large_pictures)
    app.connect("source-read", drop_what_doctest_needs)
    app.connect("autodoc-process-docstring", drop_what_doctest_needs)
