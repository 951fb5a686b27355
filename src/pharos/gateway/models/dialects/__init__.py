"""The wire protocols of model calls, one file each."""
