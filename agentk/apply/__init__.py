"""From a snapshot to a plan, and from a plan to outcomes. Deciding (plan, rules) never touches the cluster."""
