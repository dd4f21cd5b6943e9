"""``make release``: what a release holds, what is in it, where it came from, and signatures over all of it."""
