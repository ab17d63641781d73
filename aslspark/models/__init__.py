"""A name and settings -> a network in Keras or torch, or a classifier of MLlib."""
