"""Agents that work for agents: delegation, its limits, and what becomes known of who can be relied on."""
