"""``python -m sluice`` is the command line."""

from sluice.cli import main

raise SystemExit(main())
