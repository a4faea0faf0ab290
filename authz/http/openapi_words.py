"""What the calls do, in one sentence each. Used by `openapi`; a test holds it against the interface."""

from __future__ import annotations

from types import MappingProxyType

SUMMARIES = MappingProxyType(
    {
        "Read": "The stored tuples that match a pattern, page by page.",
        "Write": "Add and remove tuples in one transaction.",
        "Check": "Decide whether a user has a relation to an object.",
        "BatchCheck": "Decide many checks at one revision.",
        "Expand": "Show from what a relation to an object follows.",
        "ReadAuthorizationModels": "All models of a store, newest first, page by page.",
        "ReadAuthorizationModel": "One model.",
        "WriteAuthorizationModel": "Add a model.",
        "WriteAssertions": "Replace the assertions of a model.",
        "ReadAssertions": "The assertions of a model.",
        "ReadChanges": "The changelog of a store, page by page.",
        "CreateStore": "Add a store.",
        "UpdateStore": "Rename a store.",
        "DeleteStore": "Delete a store.",
        "GetStore": "One store.",
        "ListStores": "All stores that the caller may read, page by page.",
        "StreamedListObjects": "The objects that a user has a relation to, as they are found.",
        "ListObjects": "The objects that a user has a relation to.",
        "ListUsers": "The users that have a relation to an object.",
        "Evaluation": "Decide whether a subject may perform an action on a resource.",
        "Evaluations": "Decide many evaluations at one revision.",
        "SubjectSearch": "The subjects that may perform an action on a resource, page by page.",
        "ResourceSearch": "The resources on which a subject may perform an action, page by page.",
        "ActionSearch": "The actions that a subject may perform on a resource, page by page.",
    }
)
"""By the name of the method."""
