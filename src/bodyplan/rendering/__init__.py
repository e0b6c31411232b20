"""Pictures of robots: what is shown, from where, and who draws it."""
