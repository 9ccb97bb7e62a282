"""Images: foreign archives, unpacked layer by layer into root directories, and the store that keeps them."""
