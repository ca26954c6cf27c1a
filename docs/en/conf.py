"""Sphinx configuration."""

from hetkd import __version__

project = 'hetkd'
author = 'hetkd contributors'
release = version = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.mathjax']
myst_enable_extensions = ['dollarmath', 'colon_fence']
myst_heading_anchors = 3
autodoc_typehints = 'none'
autodoc_inherit_docstrings = False  # torch's and mmengine's, of methods that need none here
autodoc_member_order = 'bysource'
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = 'furo'
html_title = f'hetkd {version}'
html_static_path = ['_static']
