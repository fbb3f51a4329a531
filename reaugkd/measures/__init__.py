"""By which figure methods are compared, and whether probabilities mean what they say."""
