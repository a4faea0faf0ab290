"""Other authorization engines under the same questions as ours. Run by `command`."""
