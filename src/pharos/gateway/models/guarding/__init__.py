"""Guards of model calls: the same for every dialect."""
