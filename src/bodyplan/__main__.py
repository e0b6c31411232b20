"""`python -m bodyplan`, the same as `bodyplan`."""

from bodyplan.cli import run_and_exit

run_and_exit()
