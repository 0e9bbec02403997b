"""What we hold ourselves to: promises, sizes, mutation scores, versions, the built package."""
