"""Programs of others that speak to OpenFGA, unchanged: the SDKs for Python and JavaScript, and the command line."""
