"""Pharos: AI-native application infrastructure in one process, with one command, on one port."""

__version__ = "0.1.0"
