"""The embedded engine: one process, one directory, SQLite and files. Start reading at ``engine.py``."""
