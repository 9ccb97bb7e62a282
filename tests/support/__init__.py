"""What tests share: stand-ins at the ports. Not a mock of katrio's own code: each implements a whole port."""
