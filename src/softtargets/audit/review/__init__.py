"""The review of suspects by people: labels go out in the formats of tools, and decisions come back."""
