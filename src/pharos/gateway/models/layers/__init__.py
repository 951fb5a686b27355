"""The layers of a model call, one file each. Their order stands in ``stack.py``."""
