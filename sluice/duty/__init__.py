"""What somebody on duty must be told: feeds that are late, a stream that is down, what a machine may scrape."""
