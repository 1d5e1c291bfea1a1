"""What runs the network: one protocol, one file per engine."""
