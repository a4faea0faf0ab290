"""The Authorization API 1.0 of OpenID AuthZEN, over the commands. Its handlers are named in `methods`."""
