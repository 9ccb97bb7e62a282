"""What really runs a guest's containers: an OCI runtime, or plain processes; each behind the port in `base`."""
