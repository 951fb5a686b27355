"""Works on sessions: leases one, folds it, performs what its decider asks for, and commits what came of it."""
