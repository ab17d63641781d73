"""A decoded picture -> the picture cropped to its hand, and the `Hand` with its 21 landmarks; for ingest and scoring.

The detector (MediaPipe) runs in a child process, which may hang or die without harm. Only `detector` imports it.
"""
