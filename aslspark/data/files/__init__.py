"""Paths in; what lies there, its names in order and its bytes out: on this machine and wherever Spark reads."""
