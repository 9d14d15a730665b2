"""The staff's origin: a login in front of Temporal's UI, its codec, and the console."""
