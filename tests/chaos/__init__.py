"""The pipeline under random faults, and the proof that every row that landed is in the database once."""
