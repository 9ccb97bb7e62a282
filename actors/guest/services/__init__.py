"""What speaks to the guest's clients: one module for each agent's protocol, all over the same executor."""
