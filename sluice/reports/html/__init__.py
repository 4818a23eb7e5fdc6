"""The page of the reports, and the CSV files beside it: a dated HTML file that needs nothing but itself."""
