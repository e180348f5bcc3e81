"""Commands that measure, each printing one JSON object last."""
