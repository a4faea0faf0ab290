"""Where records go. Each sink is a module of its own; built by `trail`, written to by `recorder`."""
