"""The program `bodyplan`, which is also `python -m bodyplan`."""

from bodyplan.early_stop import stop_early


def run() -> None:
    """Run the command of the command line, and end this process."""
    stop_early()
    from bodyplan.cli import run_and_exit  # takes its time

    run_and_exit()


if __name__ == "__main__":
    run()
