"""Sphinx configuration."""

from docutils.nodes import SkipNode, math_block
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.logging import getLogger

from hetkd import __version__

logger = getLogger(__name__)

project = 'hetkd'
author = copyright = 'hetkd contributors'
release = version = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
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
html_css_files = ['site.css']
html_math_renderer = 'mathml'


def formula(writer, node):
    """A formula as MathML: browsers draw it without a script or a network."""
    block = isinstance(node, math_block)
    try:
        mathml = tex2mathml(node.astext(), as_block=block)
    except MathError as error:
        logger.warning('%s in the formula %r', error, node.astext(), location=node)
        raise SkipNode from None
    mathml = mathml.replace('<mo>‖</mo>', '<mo stretchy="false">‖</mo>')  # KL(p ‖ q): as high as a letter
    mathml = mathml.replace('<mi>log</mi>', '<mi>log</mi><mspace width="0.17em"></mspace>')
    writer.body.append(f'<div class="formula">{mathml}</div>\n' if block else mathml)
    raise SkipNode


def setup(app):
    app.add_html_math_renderer('mathml', (formula, None), (formula, None))
