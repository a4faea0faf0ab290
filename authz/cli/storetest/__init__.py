"""Store tests (`*.fga.yaml`): a model, tuples, and what must follow from them; run by the engine, without a server."""
