"""Who may do what: keys and their credentials, and approvals for what a caller may not do alone."""
