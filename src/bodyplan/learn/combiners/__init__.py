"""How robots share the actor: one file for each way of combining their losses."""
