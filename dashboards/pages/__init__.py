"""The pages of the service: jobs, fronts, networks, devices, predictors."""
