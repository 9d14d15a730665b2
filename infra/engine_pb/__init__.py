"""Generated from `matching/engine.proto`; `python -m infra.engine_pb.generate` writes it anew."""
