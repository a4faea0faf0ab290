"""One use case a file: plain values in and out, no transport. Called by `rpc` and `cli`."""
