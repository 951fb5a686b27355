"""What a model sees at each step, and why: see ``docs/decisions/0025-context-grows-at-its-end.md``."""
