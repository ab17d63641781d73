"""Networks in Keras and torch, and MLlib classifiers, built by name."""
