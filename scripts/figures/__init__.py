"""What the scripts draw: one module a subject."""
