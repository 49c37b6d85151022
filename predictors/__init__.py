"""What is guessed: latency and accuracy predictors."""
