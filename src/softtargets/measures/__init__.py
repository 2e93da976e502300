"""Numbers of finished runs."""
