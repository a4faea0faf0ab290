"""What was decided and changed: sealed records, their chains, sinks, verification. Built by `app`, called by `rpc`."""
