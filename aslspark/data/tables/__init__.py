"""Pixel tables -> their layout and pixels, or a reason: the one reader of ingest, scoring and the service."""
