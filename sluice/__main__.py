"""``python -m sluice`` is the command line."""

from sluice.cli.main import main

raise SystemExit(main())
