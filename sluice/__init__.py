"""Sluice: CSV files that land in a folder reach PostgreSQL, every row exactly once."""

__version__ = "0.1.0"
