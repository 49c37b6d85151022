"""Features of the networks of a space, as predictors take them."""
