"""Who may call, and what: principals from credentials, and their rights. Built by `app`, used by `rpc`."""
