"""``python -m pharos``: the same as the command ``pharos``."""

from pharos.server.cli import main

if __name__ == "__main__":
    main()
