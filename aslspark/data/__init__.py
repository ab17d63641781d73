"""Tables and pictures as people bring them -> layouts, rows and samples, read in one way wherever they come in."""
