"""See the contract."""
