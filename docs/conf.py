"""The site: Sphinx reads README, docs, results and notebooks where they lie, so their links hold here as on GitHub."""

import re
import sys
from importlib.resources import files
from pathlib import Path
from shutil import copyfile
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]  # the library, and notebook_outputs.py

import reaugkd  # noqa: E402

project, author, version = "reaugkd", "the authors of reaugkd", reaugkd.__version__
project_copyright = "the authors of reaugkd; Apache License 2.0"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "notebooks/*.ipynb", "results/**.md", "reaugkd/tasks/shoptalk/README.md"]
exclude_patterns = [".*", "runs", "build", "docs/_build", "*.egg-info", "**/.ipynb_checkpoints"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the outputs are those that were committed
nb_custom_formats = {".ipynb": "notebook_outputs.read_notebook"}
nb_merge_streams = True

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # the types stand in the docstrings
autodoc_preserve_defaults = True
add_module_names = False
toc_object_entries_show_parents = "hide"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "reaugkd"
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
html_static_path = ["_static", str(files("mathjax") / "static/mathjax/es5/tex-svg-full.js")]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
html_copy_source = False
mathjax_path = "tex-svg-full.js"  # a copy in the site: no page asks for anything outside
mathjax3_config = {"svg": {"fontCache": "global"}}
pygments_style, pygments_dark_style = "friendly", "github-dark"

CONTENTS = """

```{toctree}
:hidden:
:caption: Learn
:glob:

notebooks/*
docs/teaching
docs/glossary
```

```{toctree}
:hidden:
:caption: Use

docs/use
docs/adopt
docs/condense
docs/scale
docs/format
docs/api
The shipped task <reaugkd/tasks/shoptalk/README>
```

```{toctree}
:hidden:
:caption: Measured

results/README
docs/bench
docs/trust
All tables of the study <results/tables>
Tables of the scenarios <results/scenarios/tables>
Tables of the cost <results/cost/tables>
Tables of the paper's setting <results/paper/tables>
results/LOG
```

```{toctree}
:hidden:
:caption: Change

CONTRIBUTING
docs/structure
SECURITY
CHANGELOG
```
"""


def add_contents(_: Sphinx, name: str, source: list[str]) -> None:
    """Add the contents to the first page; on GitHub the README would show them as code."""
    if name == root_doc:
        source[0] += CONTENTS


def shorten(*event: Any) -> tuple[str, str] | None:
    """Leave out what the settings in a signature hold by themselves."""
    signature, returned = event[-2:]
    return signature and (re.sub(r"(\w+Settings)\([^()]*\)", r"\1()", signature), returned)


def find_public_name(app: Sphinx, env: Any, node: nodes.Element, shown: nodes.Element) -> nodes.Element | None:
    """Link a public name that a docstring calls by the module where it lives."""
    home, _, name = node.get("reftarget", "").removeprefix("reaugkd.").partition(".")
    for public, module in reaugkd._HOME.items():
        if node.get("refdomain") == "py" and f"{home}.{name}".startswith(f"{module}.{public}"):
            target = f"{home}.{name}".replace(f"{module}.", "reaugkd.", 1)
            domain = env.get_domain("py")
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, shown)
    return None


def add_index(app: Sphinx, error: Exception | None) -> None:
    """Serve the README as the folder's first page."""
    if error is None:
        copyfile(app.outdir / "README.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    """Connect the above."""
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-signature", shorten)
    app.connect("missing-reference", find_public_name)
    app.connect("build-finished", add_index)
