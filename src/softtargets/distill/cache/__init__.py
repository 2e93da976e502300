"""Teacher caches: what a teacher says of every example, kept in a folder and read by example id."""
