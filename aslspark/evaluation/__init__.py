"""How good a finished model is.

In: a scored DataFrame with labels. Out: figures, plots, and words about them.
"""
