"""The one place of the version; setup.cfg and the docs read it from here."""

__version__ = '0.1.0'
