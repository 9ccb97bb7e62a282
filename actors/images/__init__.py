"""Images: archives of others, unpacked layer by layer into roots, and the store that keeps them."""
