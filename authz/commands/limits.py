"""What one request may ask for, as values. Read by every command; `app` fills it from the settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes or entities, times in seconds. The defaults are those that OpenFGA clients expect."""

    max_tuples_per_write: int = 100
    max_condition_context_bytes: int = 32_768
    max_types_per_model: int = 100
    max_model_bytes: int = 262_144
    max_assertions_bytes: int = 64_000
    max_checks_per_batch: int = 50
    default_page_size: int = 50
    max_page_size: int = 100
    request_timeout: float = 3.0
    list_objects_deadline: float = 3.0
    list_objects_max_results: int = 1000
    """0: no limit."""
    list_users_deadline: float = 3.0
    list_users_max_results: int = 1000
    """0: no limit."""
    max_evaluations: int = 1000
    """How many evaluations one request may hold."""
    max_found: int = 1000
    """How many results a page of a search may hold."""
    actions: tuple[str, ...] = ("*",)
    """Patterns of the relations that a search for actions looks at."""
    changelog_horizon: float = 0.0
    """Changes younger than this are not shown by ReadChanges."""
    changelog_retention: float = 0.0
    """For how many seconds changes are kept; 0: for ever."""
    max_token_lifetime: float = 3600.0
    """How many seconds a token of any issuer may be good for, leeway included: so long is its revocation kept."""
    issuers: frozenset[str] = frozenset()
    """The issuers of tokens, which orders may name; empty: they are not known."""
    cached_models: int = 1000
    """How many compiled models a process keeps."""
