"""The hand in a picture: where it is, its 21 landmarks, and a crop on it; one way for ingest and for scoring.

In: a decoded picture. Out: the picture cropped to the hand, and a `Hand`. The detector (MediaPipe) runs in a process
of its own, which may hang or die without harm; nothing else here imports it.
"""
