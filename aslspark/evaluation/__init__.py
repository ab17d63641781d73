"""How good a finished model is.

In: a scored DataFrame with labels. Out: metrics, plots, and the pages that explain them.
"""
