"""The wire protocols of model calls, one package each."""
