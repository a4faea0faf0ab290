"""Facts at a revision: the protocols in `api`, their SQL implementation in `sql`."""
