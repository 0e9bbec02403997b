"""What we hold ourselves to: promises and their breaks, sizes, mutation scores, versions, the built package."""
