"""HTTP: the API, webhooks, observability."""
