"""What must not be lost: progress, ledger, incidents, outbox, actions."""
