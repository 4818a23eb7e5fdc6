"""``python -m sluice.containers`` is what the containers run."""

from sluice.containers.main import main

raise SystemExit(main())
