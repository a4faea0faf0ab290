"""The operator's program `authz`. Heavy modules are imported inside commands, so that `--help` is quick."""
