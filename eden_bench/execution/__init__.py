"""From a request to records: plan, dry run, estimate, run, resume, replay."""
