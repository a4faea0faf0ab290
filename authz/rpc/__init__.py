"""The gRPC edge: the chain of steps, handlers, conversion and error mapping. Built by `app`."""
