"""Agents beyond the wall: A2A in its three bindings, both ways, and AG-UI for front ends."""
