"""Searches for better settings and kinds of models; the jobs that train import nothing of it."""
