"""Exit codes of the program while it serves. Used by `process` and its neighbours; the same as those of `cli`."""

DONE, FORCED, USAGE, SERVICE_ERROR = 0, 1, 2, 3
