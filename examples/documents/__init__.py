"""A documents API with a database of its own, whose every endpoint asks authz before it touches a document."""
