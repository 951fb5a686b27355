"""Deliveries in SQLite: leases, dead letters, schedules and retention."""
