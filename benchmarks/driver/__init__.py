"""The load driver: asks a server over gRPC from processes of its own, at a rate or as fast as it answers."""
