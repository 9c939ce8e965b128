"""The fundus phantom: vessels, disc, lesions."""
