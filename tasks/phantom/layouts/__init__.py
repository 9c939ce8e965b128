"""Write the phantom in the layout of each dataset."""
