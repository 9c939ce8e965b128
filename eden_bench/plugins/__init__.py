"""Write, check and tell apart plugins."""
