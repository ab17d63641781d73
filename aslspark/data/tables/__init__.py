"""Pixel tables in, their layout and pixels out, or the reason why not: one reader for ingest, scoring and service."""
