"""Reading of model files that may be anybody's: checked first, and only then given to MuJoCo."""
