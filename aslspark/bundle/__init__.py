"""A finished model -> a folder, whole or absent; a folder -> the model, checked byte for byte before it is loaded."""
