"""Sessions of the city as tasks of A2A."""
