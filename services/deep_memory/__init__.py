"""Deep Memory: training on the pairs, measuring, switching it on."""
