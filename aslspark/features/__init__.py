"""Samples -> numbers that models take: vectors for MLlib, scaled and augmented batches for the frameworks."""
