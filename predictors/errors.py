"""What can be wrong with what a predictor is given."""


class PredictorError(ValueError):
    """Data or settings that a predictor cannot work with; the message says what was given and what is allowed."""


class TooFewSamples(PredictorError):
    """Fewer measurements than the predictor needs."""


class FeatureMismatch(PredictorError):
    """Features of another space, or of another version of it, than the predictor was fitted on."""


class NotFitted(PredictorError):
    """A prediction is asked of a predictor that has seen nothing yet."""


class PredictorFileError(PredictorError):
    """A file that is no predictor, was written by another version, or was changed after it was written."""
