"""What comes back from a provider, on its way to the client."""
