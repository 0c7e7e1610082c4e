"""The command `perfusion`, and `python -m perfusion`."""

from perfusion.installation import take


def main() -> None:
    """Run the command line of this installation and exit with its code."""
    take()
    from acquisition.cli import main as run

    run()


if __name__ == "__main__":
    main()
