"""When an object is well: pure rules, and the watch that feeds them."""
