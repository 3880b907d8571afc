"""Creamery measured beside nginx, in one run, against goals.toml."""
