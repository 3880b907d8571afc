"""Creamery: one hub for packages, built wheels, files and data carts."""

__version__ = "0.1.0"
