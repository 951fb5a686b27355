"""Configurations of other gateways become manifests, with a list of what could not be taken over."""
