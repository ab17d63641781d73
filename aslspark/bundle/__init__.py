"""A finished model in, a folder out that is whole or absent; and back, checked byte for byte before it is loaded."""
