"""Which target answers a call, and why: rules, strategies, affinity, capabilities, and the explanation of all of it."""
