"""What Spark runs: the stream, its source of landed files, and the loading of one file."""
