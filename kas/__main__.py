"""``python -m kas`` is the command ``kas``."""

from kas.cli import main

if __name__ == "__main__":
    main(prog_name="kas")
