"""Programs that load CSV files into PostgreSQL: each is one module with one class, all with the same interface."""
