"""What people and machines look at: the state of the pipeline, of one file, of the quarantine, as plain values."""
