"""By which figure methods are compared, and whether a difference is real."""
