"""Who calls: principals from bearer tokens, client certificates and preshared keys. Used by the chain in `rpc`."""

from __future__ import annotations

from authz.access.authentication.authenticator import Authenticator
from authz.access.authentication.bearer import bearer
from authz.access.authentication.preshared import new_key
from authz.access.authentication.revocations import Revocations
from authz.access.authentication.strong import StrongRules

__all__ = ["Authenticator", "Revocations", "StrongRules", "bearer", "new_key"]
