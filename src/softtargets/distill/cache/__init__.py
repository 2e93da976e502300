"""Teacher caches: a teacher's probabilities for every example, stored in a folder and read by example id."""
