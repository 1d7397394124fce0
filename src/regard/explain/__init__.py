"""What in the input decided, by attention and by gradients, and whether to trust the answer."""
