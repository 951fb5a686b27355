"""A session as a pure state machine: ``decide(state, command)`` makes events and effects, ``evolve`` folds events."""
