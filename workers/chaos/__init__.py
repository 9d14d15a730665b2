"""Drills on a whole exchange: real servers, real processes, load, and the checker at the end."""
