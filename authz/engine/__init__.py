"""The questions, evaluated in Kleene logic over a view of tuples. Called by `commands`."""
