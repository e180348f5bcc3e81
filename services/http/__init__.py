"""What is served beside the screens: routes that parse, authorise, call a service, answer."""
