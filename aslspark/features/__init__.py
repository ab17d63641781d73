"""Samples -> the inputs of models: vectors for MLlib, scaled and augmented batches for the frameworks."""
