"""Look at, measure and steer attention."""
