"""Envoy's external authorization: a gateway asks whether it may forward a request, and rules make a check of it.

Used by `app`, which adds the method to those of the service when `ext_authz` is configured. The messages are our
own wire-compatible ones in `proto/envoy`: the package `xds-protos` overwrites files of `opentelemetry-proto`.
"""

from authz.rpc.ext_authz.building import check_gateway, gateway_methods

__all__ = ["check_gateway", "gateway_methods"]
