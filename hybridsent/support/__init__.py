"""What every command needs: errors and their messages, locks, folders written whole."""
