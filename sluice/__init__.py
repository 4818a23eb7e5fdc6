"""Sluice: CSV files that land in a folder reach PostgreSQL, every row exactly once."""
