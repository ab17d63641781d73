"""Bundles -> numbered versions, the aliases champion and challenger, and runs in MLflow."""
