"""Pictures that a model meets, against those that it was made with: whether the world has changed."""
