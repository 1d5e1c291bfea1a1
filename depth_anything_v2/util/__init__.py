"""Building blocks of the head, and the preprocessing rule."""
