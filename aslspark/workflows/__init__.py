"""Whole jobs: paths and settings in, a finished folder out. Jobs, command, notebooks and benchmarks call these."""
