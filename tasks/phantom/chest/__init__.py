"""The chest phantom: anatomy, projection, lesions."""
