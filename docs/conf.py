"""Settings of the documentation site; `make docs` builds it into build/docs.

The source folder is the repository's root, so that a link means the same here as in a checkout.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import minighost  # noqa: E402

project, author, language = "minighost", "the minighost developers", "en"
version = release = minighost.__version__
copyright = "the minighost developers, MIT licence"

root_doc = "docs/index"
include_patterns = ["docs/**", "tutorials/[0-9]*.py", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
exclude_patterns = [
    ".*",
    "build",
    "dist",
    "runs",
    "minighost",
    "tests",
    "versus",
    "docs/conf.py",
    "docs/_ext",
    "docs/generated/*.md",
]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.linkcode", "sources", "pages"]

myst_heading_anchors = 4
nb_custom_formats = {".py": ["tutorials.read", {}]}
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parent / "build" / "tutorials")
nb_execution_timeout = 300
nb_execution_raise_on_error = True

autodoc_typehints = "none"  # the docstrings give shapes and dtypes, which say more
autodoc_member_order = "bysource"
default_role = "py:obj"
napoleon_google_docstring = False
napoleon_use_ivar, napoleon_use_rtype = True, False

html_theme, html_title = "furo", "minighost"
html_static_path, html_css_files = ["_static"], ["site.css"]
html_extra_path = ["_extra", "generated/extra"]
html_copy_source = False
