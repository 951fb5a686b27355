"""What happened, and who hears it: facts that rooms share, and the projections that follow the log."""
