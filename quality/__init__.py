"""What we hold ourselves to: promises, and whether their tests notice when one is broken."""
