"""Who is next: slots, classes, weights and rates between flows of work, the same on every engine."""
