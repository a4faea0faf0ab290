"""Between messages of the interface and plain values. Called by the handlers, one module a topic."""
