"""Answers given again instead of asked for again: exact, in flight, and by meaning. Opt-in by ``Model``."""
