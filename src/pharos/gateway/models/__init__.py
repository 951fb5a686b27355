"""One entrance for every model."""
