"""AG-UI: a run of an agent as events for front ends, from the same log that everything else is read from."""
