"""The page "Sluice": its JSON app, and its scripts under static."""
