"""Decoded pictures -> the pictures cropped to their hands, and the `Hand` of each with its 21 landmarks.

For ingest and scoring. The networks are in ONNX and run in onnxruntime; only `detector` needs it.
"""
