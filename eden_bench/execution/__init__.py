"""From a request to records: plan, run, estimate, replay."""
