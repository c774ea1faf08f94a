"""Tidegate: makes the REST API you already have live."""

__version__ = "0.1.0"
