"""``agentk check``: whether agentk can work here, and what to do where it cannot.

One file a question: ``server`` (can kas be reached, and does it know this agent), ``cluster`` (can the API server be
reached), ``rights`` (what agentk may do there; pure) and ``access`` (asking for it). Nothing is ever left behind: every
request reads, or is a review, which Kubernetes answers and does not store.
"""
