"""What is guessed: latency and other metrics of networks, from few measurements, with an interval for each guess."""
