"""Image-text sentiment with hybrid fusion: train, score, explain and publish."""
