"""What each room of the page asks for."""
