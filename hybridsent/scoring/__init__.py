"""Score many posts with a trained model: constant memory, resumable, any number of processes."""
