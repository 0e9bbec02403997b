"""What a logistic regression reads: frozen features of encoders, texts and characters."""
