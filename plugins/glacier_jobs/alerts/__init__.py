"""What needs attention, and who is notified of it."""
