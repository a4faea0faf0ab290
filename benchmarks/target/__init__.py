"""What is measured: servers that are started here with a loaded database, or others that are attached to."""
