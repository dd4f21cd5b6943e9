"""``python -m agentk`` is the command ``agentk``."""

from agentk.cli import main

if __name__ == "__main__":
    main(prog_name="agentk")
