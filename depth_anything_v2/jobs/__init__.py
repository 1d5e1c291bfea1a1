"""Many inputs: expand them, name the outputs, run them through an estimator, resume, report."""
