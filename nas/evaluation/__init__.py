"""How genotypes become metric values: actors on Ray, and the evaluator that feeds them."""
