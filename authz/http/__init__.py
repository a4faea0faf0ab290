"""The JSON edge: the calls of `rpc`, by the routes that their interface declares, over HTTP/1.1."""
