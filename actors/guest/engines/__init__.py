"""What runs a guest's containers: an OCI runtime, or plain processes; each behind the interface in `base`."""
