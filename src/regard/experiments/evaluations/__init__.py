"""How each bundled model is measured: some images at a time, and figures from all of them."""
