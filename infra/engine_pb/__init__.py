"""Generated from `matching/engine.proto`; `python -m infra.engine_pb` writes it anew."""
