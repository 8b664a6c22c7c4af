"""What people see: pure functions of a journal."""
