"""`python -m bodyplan`, the same as `bodyplan`."""

from bodyplan.cli import main

raise SystemExit(main())
