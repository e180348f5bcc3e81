"""Commands that measure. Each prints one JSON object last."""
